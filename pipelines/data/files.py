"""Files, local or on S3: where a path leads, and what a pattern or folder holds."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

from pyarrow import fs

from pipelines.errors import ManifestError

Kind = Literal["parquet", "csv", "jsonl"]
_KINDS = (".parquet", ".csv", ".jsonl")
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Source:
    """One manifest file: absolute path or s3:// address, format, size in bytes, modification time in ns."""

    path: str
    kind: Kind
    size: int
    modified: int


@lru_cache(maxsize=64)
def _open_s3(bucket: str) -> fs.FileSystem:
    return fs.FileSystem.from_uri(f"s3://{bucket}")[0]


def locate(address: str) -> tuple[fs.FileSystem, str]:
    """File system and path within it of a local path or an ``s3://bucket/key``.

    Credentials, region and, for a store that is not Amazon's, ``AWS_ENDPOINT_URL`` come from the environment.
    """
    if not address.startswith("s3://"):
        return fs.LocalFileSystem(), os.path.abspath(address)
    path = address.removeprefix("s3://").rstrip("/")
    return _open_s3(path.partition("/")[0]), path


def find_sources(paths: Sequence[str]) -> tuple[Source, ...]:
    """Every manifest file that the paths, patterns and folders stand for: in the order given, each sorted, each once.

    Raises `ManifestError` for a path or pattern that stands for nothing, or a file of another format.
    """
    if not paths:
        raise ManifestError("no manifest given: name Parquet, CSV or JSONL files, patterns or folders")
    found: dict[str, Source] = {}
    for path in paths:
        for source in _expand(os.fspath(path)):
            found.setdefault(source.path, source)
    return tuple(found.values())


def watched_sources(folder: str) -> tuple[Source, ...]:
    """The manifest files in a folder now, sorted by name; not those whose name begins with a dot or underscore.

    What lies in folders below it is not looked at: files that are done with may be moved there.

    Raises `ManifestError` if a local folder is not there; an S3 prefix without files is empty.
    """
    try:
        if folder.startswith("s3://"):
            found = _list_s3(*locate(folder), below=False)
        elif os.path.isdir(folder):
            found = sorted(_listed(os.path.abspath(folder)))
        else:
            raise ManifestError(f"{folder}: no such folder to watch")
    except OSError as error:
        raise ManifestError(f"{folder}: cannot be read ({error})") from error
    return tuple(_source(*entry) for entry in found if _is_manifest(entry[0]))


def _listed(folder: str) -> Iterator[tuple[str, int, int]]:
    """The manifest files in a local folder; one may be renamed or moved away while it is looked at."""
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):
            if _is_manifest(entry.name) and entry.is_file():
                yield _local(entry.path)


def _expand(path: str) -> Iterator[Source]:
    try:
        yield from _expand_s3(path) if path.startswith("s3://") else _expand_local(path)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error})") from error


def _expand_local(path: str) -> Iterator[Source]:
    if os.path.isdir(path):
        inside = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
        yield from _of_folder(path, sorted(_local(name) for name in inside if _is_manifest(name)))
    elif os.path.exists(path):
        yield _source(*_local(path))
    elif _PATTERN.search(path):
        names = [name for name in sorted(glob.glob(path, recursive=True)) if os.path.isfile(name)]
        yield from _of_pattern(path, [_local(name) for name in names])
    else:
        raise ManifestError(f"{path}: no such file or folder")


def _expand_s3(path: str) -> Iterator[Source]:
    system, inner = locate(path)
    info = system.get_file_info(inner)
    if info.type == fs.FileType.File:
        yield _source(f"s3://{inner}", info.size, info.mtime_ns or 0)
    elif info.type == fs.FileType.Directory:
        yield from _of_folder(path, [entry for entry in _list_s3(system, inner) if _is_manifest(entry[0])])
    elif match := _PATTERN.search(inner):
        base = inner[: match.start()].rpartition("/")[0]
        regex = _regex(f"s3://{inner}")
        yield from _of_pattern(path, [entry for entry in _list_s3(system, base) if regex.fullmatch(entry[0])])
    else:
        raise ManifestError(f"{path}: no such object or folder")


def _list_s3(system: fs.FileSystem, folder: str, *, below: bool = True) -> list[tuple[str, int, int]]:
    """Everything under a prefix, sorted; also what lies in folders below it, or not."""
    infos = system.get_file_info(fs.FileSelector(folder, recursive=below, allow_not_found=True))
    files = [info for info in infos if info.type == fs.FileType.File]
    return sorted((f"s3://{info.path}", info.size, info.mtime_ns or 0) for info in files)


def _of_folder(path: str, entries: list[tuple[str, int, int]]) -> list[Source]:
    if not entries:
        raise ManifestError(f"{path}: the folder holds no .parquet, .csv or .jsonl file")
    return [_source(*entry) for entry in entries]


def _of_pattern(path: str, entries: list[tuple[str, int, int]]) -> list[Source]:
    if not entries:
        raise ManifestError(f"{path}: no file matches this pattern")
    return [_source(*entry) for entry in entries]


def _local(path: str) -> tuple[str, int, int]:
    status = os.stat(path)
    return os.path.abspath(path), status.st_size, status.st_mtime_ns


def _is_manifest(path: str) -> bool:
    name = path.rpartition("/")[2]
    return not name.startswith((".", "_")) and name.lower().endswith(_KINDS)


def _source(path: str, size: int, modified: int) -> Source:
    extension = os.path.splitext(path)[1].lower()
    if extension not in _KINDS:
        raise ManifestError(f"{path}: a manifest is a .parquet, .csv or .jsonl file")
    return Source(path, cast(Kind, extension[1:]), size, modified)


def _regex(pattern: str) -> re.Pattern[str]:
    """A shell pattern whose ``*`` and ``?`` stay within a folder and whose ``**/`` crosses folders."""
    tokens = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}

    def translate(token: str) -> str:
        if token.startswith("[") and len(token) > 1:
            return token.replace("[!", "[^")
        return words.get(token) or re.escape(token)

    return re.compile("".join(map(translate, tokens)))
