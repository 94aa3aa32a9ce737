"""Lines of a data set's text files: numbered from 1, whatever ends them; one bad line does not spoil the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pipelines.errors import ManifestError

from .journal import Journal

T = TypeVar("T")

_SHOWN = 60  # characters of a faulty line in the report
_POINTER = b"version https://git-lfs"


class LineError(ValueError):
    """A line that cannot be used; the text is the reason, the same for all lines of the kind."""


def at(path: Path, number: int, text: str = "") -> str:
    """A place in words: file, line, and what stands there, shortened."""
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return f"{path}, line {number}" + (f": {shown!r}" if shown else "")


def numbered(path: Path, journal: Journal) -> Iterator[tuple[int, str]]:
    """(number, text without its end) of every line, also of blank ones; bytes that are not UTF-8 become U+FFFD.

    Raises:
        ManifestError: the file cannot be read, or is what Git keeps in the place of a large file.
    """
    journal.opened(path)
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if number == 1:
                    if line.startswith(_POINTER):
                        raise ManifestError(f"{path}: only Git LFS's pointer to the file; get it with `git lfs pull`")
                    line = line.removeprefix(b"\xef\xbb\xbf")
                yield number, line.decode("utf-8", "replace").rstrip("\r\n")
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error


def parsed(path: Path, journal: Journal, parse: Callable[[str], T], first: int = 1) -> Iterator[tuple[int, T]]:
    """(number, value) of every line that `parse` takes; blank lines are passed over.

    Args:
        path: of the file.
        journal: where lines that raise `LineError` (or another `ValueError`) go.
        parse: a line's text -> its value.
        first: number of the first line that is no header.

    Raises:
        ManifestError: not one of the lines could be parsed, so the file is something else.
    """
    good, bad = False, ""
    for number, text in numbered(path, journal):
        if number < first or not text.strip():
            continue
        try:
            value = parse(text)
        except ValueError as error:
            bad = bad or at(path, number, text)
            journal.skip(
                str(error) if isinstance(error, LineError) else "line cannot be parsed", at(path, number, text)
            )
            continue
        good = True
        yield number, value
    if bad and not good:
        raise ManifestError(f"{bad}: neither this nor any other line is of the format that was expected")


def keyed(path: Path, journal: Journal, pairs: Iterable[tuple[int, tuple[str, T]]]) -> dict[str, T]:
    """Key -> value from (number, (key, value)) of a file's lines; a key that comes again goes to the journal."""
    values: dict[str, T] = {}
    for number, (key, value) in pairs:
        if key in values:
            journal.notice("listed more than once; the first line counts", at(path, number, key))
        else:
            values[key] = value
    return values


def integers(text: str) -> list[int]:
    """Integers between white space of any kind. Raises `ValueError`."""
    return [int(word) for word in text.split()]


def listed(path: Path, journal: Journal) -> list[str]:
    """A list whose 0-based line is an id: every line, stripped; blank ones at the end are no entries."""
    entries = [text.strip() for _, text in numbered(path, journal)]
    while entries and not entries[-1]:
        entries.pop()
    return entries


def count_lines(path: Path) -> int:
    """How many lines a file has, for a bar of progress. Raises `ManifestError` if it cannot be read."""
    try:
        with path.open("rb") as lines:
            return sum(1 for _ in lines)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
