from __future__ import annotations

import re
from pathlib import Path

import lancedb
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.index.naming import attribute_table, class_table, encode_name

NAMES = st.text(min_size=1, max_size=256)


@given(NAMES, NAMES)
def test_different_names_have_different_tables_also_where_capitals_do_not_count(a: str, b: str) -> None:
    assert (encode_name(a).lower() == encode_name(b).lower()) == (a == b)


@given(NAMES)
def test_a_table_name_is_short_and_plain(name: str) -> None:
    encoded = encode_name(name)
    assert re.fullmatch(r"[a-z0-9_.-]{1,120}", encoded)
    assert not encoded.startswith(("..", "/"))


def test_long_names_that_share_a_beginning_differ() -> None:
    assert encode_name("ü" * 200 + "a") != encode_name("ü" * 200 + "b")


def test_plain_names_stay_readable() -> None:
    assert attribute_table("sleeve_length") == "attribute-sleeve_length"
    assert class_table("Neck design") == "class-.4eeck.20design"


def test_lancedb_takes_the_names(tmp_path: Path) -> None:
    database = lancedb.connect(tmp_path)
    for name in ("a/b c", "größe", "日本", "A" * 256, "'; --", "..", "."):
        table = attribute_table(name)
        database.create_table(table, pa.table({"item_id": ["1"]}))
        assert database.open_table(table).count_rows() == 1
