"""The key of page tokens: it lies in the index, so that one server's token is good at another, and after a restart."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

import pyarrow as pa

from pipelines.errors import StoreError

from .datasets import create_dataset, open_dataset

_BYTES = 32
_SCHEMA = pa.schema([pa.field("key", pa.binary(), nullable=False)])
_log = logging.getLogger(__name__)


def page_key(uri: str) -> bytes:
    """The key of an index, 32 bytes; made by the first who asks.

    In a local folder nobody but who made it can read it. Whoever can neither read nor make it gets one of their own,
    which is logged: tokens then end with the process.
    """
    table = f"{uri}/page_key.lance"
    try:
        if not uri.startswith("s3://"):
            Path(table).mkdir(mode=0o700, exist_ok=True)  # before there is anything in it
        create_dataset(table, pa.table({"key": [secrets.token_bytes(_BYTES)]}, schema=_SCHEMA))
        # The first version: of two who make one at once, Lance lets the later one overwrite it.
        key: bytes = open_dataset(table, version=1).to_table()["key"][0].as_py()
        return key
    except (StoreError, OSError) as error:
        _log.warning("page tokens are good at this server alone, and as long as it runs: %s", error)
        return secrets.token_bytes(_BYTES)
