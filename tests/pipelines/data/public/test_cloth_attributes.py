"""list_attr_cloth.txt."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data.public.cloth_attributes import TYPES, read_cloth_attributes
from pipelines.data.public.journal import Journal
from pipelines.errors import ManifestError

from .trees import CLOTH, write

WORD = st.text("abc-'&1", min_size=1, max_size=4)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(WORD, min_size=1, max_size=3).map(" ".join), st.integers(1, 5)), min_size=1, unique=True
    ),
    st.sampled_from([" ", "    ", "\t"]),
)
def test_names_may_have_spaces_and_the_type_is_last(
    tmp_path_factory: pytest.TempPathFactory, classes: list[tuple[str, int]], gap: str
) -> None:
    text = f"{len(classes)}\nattribute_name  attribute_type\n" + "".join(f"{n}{gap}{k}\r\n" for n, k in classes)
    journal = Journal()
    path = write(tmp_path_factory.mktemp("cloth") / "list_attr_cloth.txt", text)
    assert read_cloth_attributes(path, journal) == [(kind - 1, name) for name, kind in classes]
    assert not journal.noticed.counts


def test_a_name_that_occurs_again_within_its_type_is_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt", "4\nheader\nlace 1\nlace 2\ndots 1\nlace 1\n")
    found = read_cloth_attributes(path, Journal())
    assert [(TYPES[kind], name) for kind, name in found] == [
        ("texture", "lace"),
        ("fabric", "lace"),
        ("texture", "dots"),
        ("texture", "lace (3)"),
    ]


@pytest.mark.parametrize("line", ["lace", "lace 6", "lace x", "3"])
def test_one_bad_line_spoils_the_numbering(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "x.txt", f"{CLOTH}{line}\n")
    with pytest.raises(ManifestError, match=rf"x.txt, line 9: '{line}': not a name and a type"):
        read_cloth_attributes(path, Journal())
    with pytest.raises(ManifestError, match="lists no attributes"):
        read_cloth_attributes(write(tmp_path / "y.txt", "5\nheader\n"), Journal())
