"""Lines of text files: numbers, ends, bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data.public.journal import Journal
from pipelines.data.public.lines import LineError, count_lines, integers, keyed, listed, numbered, parsed
from pipelines.errors import ManifestError

from .trees import write


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=5)), st.sampled_from(["\n", "\r\n"]))
def test_numbers_and_texts(tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str) -> None:
    path = write(tmp_path_factory.mktemp("lines") / "x.txt", "".join(line + end for line in lines))
    journal = Journal()
    assert list(numbered(path, journal)) == list(enumerate(lines, 1))
    assert count_lines(path) == len(lines) and journal.files == [path]


def test_ends_marks_and_bytes_of_all_kinds(tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt", b"\xef\xbb\xbfone\r\n\xff two\n\nlast")
    assert list(numbered(path, Journal())) == [(1, "one"), (2, "\ufffd two"), (3, ""), (4, "last")]


def test_a_list_keeps_the_places_of_its_entries(tmp_path: Path) -> None:
    assert listed(write(tmp_path / "x.txt", "a\n\n b \r\n\n\n"), Journal()) == ["a", "", "b"]
    assert listed(write(tmp_path / "y.txt", ""), Journal()) == []


def test_bad_lines_go_to_the_journal_and_the_others_on(tmp_path: Path) -> None:
    def parse(text: str) -> list[int]:
        numbers = integers(text)
        if len(numbers) > 2:
            raise LineError("too many")
        return numbers

    path = write(tmp_path / "x.txt", "header\n1\t2 \n\nx\n1 2 3\n4")
    journal = Journal()
    assert list(parsed(path, journal, parse, first=2)) == [(2, [1, 2]), (6, [4])]
    assert journal.skipped.counts == {"line cannot be parsed": 1, "too many": 1}
    assert journal.skipped.places["too many"] == [f"{path}, line 5: '1 2 3'"]


def test_a_file_of_which_no_line_can_be_parsed_is_something_else(tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt", "count\n<html>\n<body>\n")
    with pytest.raises(ManifestError, match=r"x.txt, line 2: '<html>': neither this nor any other line"):
        list(parsed(path, Journal(), integers, first=2))
    assert list(parsed(write(tmp_path / "y.txt", "count\n"), Journal(), integers, first=2)) == []


def test_a_pointer_of_git_lfs_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 33\n")
    with pytest.raises(ManifestError, match="git lfs pull"):
        list(numbered(path, Journal()))


def test_a_folder_in_a_file_s_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        list(numbered(tmp_path, Journal()))
    with pytest.raises(ManifestError, match=f"{tmp_path}: cannot be read"):
        count_lines(tmp_path)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2))))
def test_the_first_of_several_lines_of_a_key_is_kept(pairs: list[tuple[str, int]]) -> None:
    journal = Journal()
    values = keyed(Path("x.txt"), journal, enumerate(pairs, 1))
    assert values == dict(reversed(pairs))
    reason = "listed more than once; the first line counts"
    repeated = [f"x.txt, line {n}: {key!r}" for n, (key, _) in enumerate(pairs, 1) if key in dict(pairs[: n - 1])]
    assert journal.noticed.counts[reason] == len(repeated) and journal.noticed.places.get(reason, []) == repeated[:5]


def test_only_the_first_places_are_kept() -> None:
    journal = Journal()
    for n in range(100):
        journal.skip("bad", str(n))
    assert journal.to_json()["skipped"] == {"bad": {"count": 100, "examples": ["0", "1", "2", "3", "4"]}}
