"""Finding and reading a picture by its location: below declared roots, and nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from pyarrow import fs

from model.errors import ImageError

from .files import locate
from .limits import LIMITS, ImageLimits

# Folders are passed through and not listed, which needs no right to.
_FOLDER = os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)


@dataclass(frozen=True)
class Found:
    """A picture's file: where it lies, links resolved, how many bytes it has, and the local root that it is below."""

    system: fs.FileSystem
    path: str
    size: int
    root: str | None = None


def read_image(uri: str, roots: Sequence[str], limits: ImageLimits = LIMITS) -> bytes:
    """The bytes at a location.

    Args:
        uri: see `find_image`.
        roots: see `find_image`.
        limits: a file above ``max_bytes`` is not read.

    Raises:
        ImageError: ``NOT_FOUND``, ``OUTSIDE_ROOTS`` or ``TOO_LARGE``.
    """
    try:
        found = find_image(uri, roots)
        if found.size > limits.max_bytes:
            raise ImageError("TOO_LARGE", f"{uri!r} has {found.size:,} bytes; at most {limits.max_bytes:,}")
        if found.root is not None:
            with _open_below(found.root, found.path) as file:
                return file.read(limits.max_bytes + 1)
        with found.system.open_input_stream(found.path) as stream:
            return bytes(stream.read(limits.max_bytes + 1))
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # of what is no address at all, too
        raise ImageError("NOT_FOUND", f"{uri!r} cannot be read ({error})") from error


def find_image(uri: str, roots: Sequence[str]) -> Found:
    """The file at a location, which is not opened; what `read_image` would read.

    Args:
        uri: a path relative to a root (the first root that has it wins), an absolute path, a ``file://`` address
            or an ``s3://`` address. The latter three must lie below one of the roots.
        roots: declared folders, local or ``s3://bucket/prefix``. Links are followed only as long as they stay
            below the same root.

    Raises:
        ImageError: ``NOT_FOUND``, or ``OUTSIDE_ROOTS``, whether or not anything is there.
        OSError: it cannot be looked for.
    """
    if not roots:
        raise _outside(uri, "no root is declared; name the folder that holds the pictures")
    scheme, _, rest = uri.partition("://")
    if not rest:
        scheme, rest = "", uri
    if scheme not in ("", "file", "s3"):
        raise _outside(uri, f"{scheme}:// is not read; put the pictures below a declared root")
    if scheme == "file":
        rest = unquote(urlsplit(uri).path)
    if not rest or "\0" in rest:
        raise ImageError("NOT_FOUND", f"{uri!r} is no location of a picture")
    if ".." in rest.replace("\\", "/").split("/"):
        raise _outside(uri, "a location must not contain '..'")
    if scheme == "s3":
        return _find_s3(uri, rest, [root for root in roots if root.startswith("s3://")])
    absolute = os.path.isabs(rest)
    for root in roots:
        if not root.startswith("s3://"):
            found = _find_local(rest, root.removeprefix("file://"))
        elif not absolute:
            found = _find(*_below(root, rest))
        else:
            continue
        if found is not None:
            return found
    if absolute and not any(_inside(rest, root) for root in roots if not root.startswith("s3://")):
        raise _outside(uri, f"it is not below a declared root ({', '.join(roots)})")
    raise ImageError("NOT_FOUND", f"{uri!r} is not found below {', '.join(roots)}")


def _find_local(path: str, root: str) -> Found | None:
    """The file; None if this root does not have it. Raises for a link that leads out of the root."""
    base = os.path.realpath(root)
    if os.path.isabs(path) and not _inside(path, root):
        return None
    lexical = os.path.join(os.path.abspath(root), path)
    real = os.path.realpath(lexical)
    if os.path.commonpath((base, real)) != base:
        raise _outside(path, "a link leads out of the declared root")
    found = _find(fs.LocalFileSystem(), real)
    return None if found is None else replace(found, root=base)


def _open_below(root: str, path: str) -> BinaryIO:
    """Open a file that was found below a root; both resolved. No link is followed, since one may have come since."""
    *folders, name = os.path.relpath(path, root).split(os.sep)
    opened = [os.open(root, _FOLDER)]
    try:
        for folder in folders:
            opened.append(os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=opened[-1]))
        file = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=opened[-1]
        )  # a pipe would be waited for
    finally:
        for one in opened:
            os.close(one)
    stream = os.fdopen(file, "rb")
    if not stat.S_ISREG(os.fstat(file).st_mode):
        stream.close()
        raise OSError("it is no file any more")
    return stream


def _inside(path: str, root: str) -> bool:
    """Whether an absolute path lies below the root, as written or as resolved."""
    written = os.path.abspath(path)
    bases = os.path.abspath(root.removeprefix("file://")), os.path.realpath(root.removeprefix("file://"))
    return any(os.path.commonpath((base, written)) == base for base in bases)


def _find_s3(uri: str, key: str, roots: Sequence[str]) -> Found:
    for root in roots:
        prefix = locate(root)[1]
        if key == prefix or key.startswith(prefix + "/"):
            found = _find(locate(root)[0], key)
            if found is None:
                raise ImageError("NOT_FOUND", f"{uri!r} is not found")
            return found
    raise _outside(uri, f"it is not below a declared root ({', '.join(roots) or 'none is on S3'})")


def _below(root: str, path: str) -> tuple[fs.FileSystem, str]:
    system, prefix = locate(root)
    return system, f"{prefix}/{path}"


def _find(system: fs.FileSystem, path: str) -> Found | None:
    info = system.get_file_info(path)
    # A folder, a device or a pipe is never opened.
    return Found(system, path, info.size) if info.type == fs.FileType.File else None


def _outside(uri: str, why: str) -> ImageError:
    return ImageError("OUTSIDE_ROOTS", f"{uri!r}: {why}")
