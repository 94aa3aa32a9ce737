"""The log: text, or a line of JSON for each record, with its RPC; never pictures, ids, values or tokens of a request.

What Duet itself says of a request it says to the client. Errors are another matter: their texts may quote what was
asked. So quoted parts of our own errors are left out, and of those that we did not foresee the whole text; the type
and the traceback stay. ``--log-details`` shows them.
"""

from __future__ import annotations

import json
import logging
import os
import random
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from grpc import StatusCode

from pipelines.errors import DuetError

from .observing import Call, Observer, current_call

if TYPE_CHECKING:
    from .settings import ServeSettings

# An apostrophe within or behind a word opens nothing; but Python's prefixes of texts are none.
_QUOTED = re.compile(r"""(?:(?<!\w)|(?<=\b[bBuUrR]))(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_WITHHELD = "…"
_LEVELS = dict.fromkeys((StatusCode.INTERNAL, StatusCode.DATA_LOSS, StatusCode.UNKNOWN), logging.ERROR) | dict.fromkeys(
    (StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED), logging.WARNING
)

log = logging.getLogger("duet.access")


class AccessLog(Observer):
    """A line for each request: of one that failed always, as of each search of a batch that did; of an answered one at
    DEBUG, or at INFO if it is drawn.

    Args:
        share: of the answered ones that are drawn, in [0, 1].
        chance: a number in [0, 1), another one each time.
    """

    def __init__(self, share: float, chance: Callable[[], float] = random.random) -> None:
        self._share, self._chance = share, chance

    def call_ended(self, call: Call) -> None:
        """See `Observer`."""
        failed = call.code is not StatusCode.OK
        level = _LEVELS.get(call.code, logging.INFO)
        if not failed and self._chance() >= self._share:
            level = logging.DEBUG
        milliseconds = round(call.seconds * 1e3, 3)
        fields = {"code": call.code.name, "reason": call.reason, "milliseconds": milliseconds}
        why = f" {call.reason}" if call.reason not in ("", call.code.name) else ""
        log.log(
            level,
            "%s %s%s in %.1f ms",
            call.name,
            call.code.name,
            why,
            milliseconds,
            extra={"call": call, "fields": fields},
        )

    def batched_failed(self, call: Call, code: StatusCode, reason: str) -> None:
        """See `Observer`."""
        extra = {"call": call, "fields": {"code": code.name, "reason": reason}}
        log.log(_LEVELS.get(code, logging.INFO), "a search of %s %s %s", call.name, code.name, reason, extra=extra)


class TextFormatter(logging.Formatter):
    """Time, level, message.

    Args:
        details: whether texts of errors are shown whole.
    """

    def __init__(self, details: bool = False) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._details = details

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line."""
        record.message = said(record, self._details)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback if there is one."""
        record.exc_text = None  # another handler's, which may tell more
        return super().format(record)

    def formatException(self, ei: Any) -> str:
        """The traceback."""
        return "\n".join(frames(ei[1], self._details))


class JsonFormatter(logging.Formatter):
    """An object in a line: time, level, logger, message; of an RPC method and trace_id; at its end code, reason,
    milliseconds; of an exception error.

    Args:
        details: whether texts of errors are shown whole.
    """

    def __init__(self, details: bool = False) -> None:
        super().__init__()
        self._details = details

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": said(record, self._details),
        }
        call: Call | None = getattr(record, "call", None) or current_call.get()
        if call is not None:
            line |= {"method": call.name, "trace_id": call.trace_id}
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = "\n".join(frames(record.exc_info[1], self._details))
        return json.dumps({name: value for name, value in line.items() if value != ""})


def said(record: logging.LogRecord, details: bool) -> str:
    """The message of a record, with the errors that it names as `text_of` has them."""
    if isinstance(record.args, Mapping) or not record.args:
        return record.getMessage()
    shown = tuple(text_of(one, details) if isinstance(one, BaseException) else one for one in record.args)
    return str(record.msg) % shown


def text_of(error: BaseException, details: bool) -> str:
    """What an error says: without quoted parts if it is ours, its type and the system's reason if it is not."""
    if details:
        return str(error)
    if isinstance(error, DuetError):
        return _QUOTED.sub(_WITHHELD, str(error))
    reason = f": {os.strerror(error.errno)}" if isinstance(error, OSError) and error.errno else ""
    return f"{type(error).__name__}{reason}"


def frames(error: BaseException, details: bool) -> Iterator[str]:
    """The traceback of an error and of those that led to it, the first one first."""
    chain: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in chain:
        chain.append(one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    for one in reversed(chain):
        for frame in traceback.extract_tb(one.__traceback__):
            yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
        name = type(one).__name__
        text = text_of(one, details)
        yield text if text.startswith(name) else f"{name}: {text}"


def start_log(settings: ServeSettings) -> None:
    """Log to stderr, as the settings say. Other libraries' debugging, which may quote anything, is never shown."""
    level = settings.log_level.upper()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((JsonFormatter if settings.log_format == "json" else TextFormatter)(settings.log_details))
    logging.basicConfig(level=max(logging.INFO, logging.getLevelNamesMapping()[level]), handlers=[handler])
    logging.getLogger("duet").setLevel(level)
