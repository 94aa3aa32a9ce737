"""``duet attention``: pictures of where an encoder looks, by attribute and by predicted class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import field_validator
from pydantic_settings import CliPositionalArg
from safetensors.numpy import save_file

from cluster.command import command
from cluster.settings import Settings, parse_settings
from model.checkpoint import load_checkpoint
from model.errors import ImageError
from pipelines.data.images import prepare
from pipelines.data.manifest import Manifest, row_image
from pipelines.data.writing import make_folder
from pipelines.errors import DuetError

from .attention import draw_look, look

_PROG = "duet attention"


class AttentionSettings(Settings):
    """Draw where an encoder looks in pictures: a PNG for each, and the maps as arrays (.safetensors) beside it."""

    images: CliPositionalArg[list[Path]] = []
    """Pictures."""
    manifest: list[str] = []
    """Where items are looked for: Parquet, CSV or JSONL files, folders, globs or s3:// URIs."""
    item: list[str] = []
    """Ids of items of the manifest."""
    roots: list[str] = []
    """Folders or s3:// URIs below which the manifest's image_uri is resolved."""
    checkpoint: Path
    """Folder of the checkpoint."""
    out: Path
    """Folder for the results, called as the pictures or items are."""

    @field_validator("manifest", "roots", "item", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


@command(_PROG, DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Draw every picture; return the exit status."""
    settings = parse_settings(AttentionSettings, argv, _PROG)
    if not settings.images and not settings.item:
        raise DuetError("name pictures, or a --manifest and --item ID")
    stems = [path.stem for path in settings.images] + [quote(item_id, safe=" ") for item_id in settings.item]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise DuetError(f"two pictures are called {twice[0]!r}: their results would lie in one file")
    checkpoint = load_checkpoint(settings.checkpoint)
    pictures = [*map(_read, settings.images), *_items(settings)]
    make_folder(settings.out)
    for stem, (name, data) in zip(stems, pictures, strict=True):
        try:
            pixels = prepare(data, checkpoint.preparation)
        except ImageError as error:
            raise DuetError(f"{name}: {error}") from error
        seen = look(checkpoint.encoder, pixels)
        target = settings.out / f"{stem}.png"
        target.write_bytes(draw_look(pixels, seen))
        arrays = dict(seen.attributes)
        arrays |= {f"{attribute}: {name}": attention for (attribute, name), attention in seen.classes.items()}
        # Not as .npz, whose names are Python's argument names: an attribute may be called "file".
        save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, target.with_suffix(".safetensors"))
        print(target)
    return 0


def _read(path: Path) -> tuple[str, bytes]:
    try:
        return str(path), path.read_bytes()
    except OSError as error:
        raise DuetError(f"{path}: {error.strerror}") from error


def _items(settings: AttentionSettings) -> list[tuple[str, bytes]]:
    """(id, picture) of the items, in the order in which they were named."""
    if not settings.item:
        return []
    if not settings.manifest:
        raise DuetError("--item needs the --manifest that it is in")
    manifest = Manifest.open(settings.manifest, roots=settings.roots)
    columns = [name for name in ("item_id", "image", "image_uri") if name in manifest.schema.names]
    wanted, found = pa.array(settings.item, pa.string()), {}
    for batch in manifest.batches(columns=columns):
        for row in batch.filter(pc.is_in(batch["item_id"], wanted)).to_pylist():
            try:
                found[row["item_id"]] = row_image(row, manifest.roots)
            except ImageError as error:
                raise DuetError(f"item {row['item_id']!r}: {error}") from error
    for item_id in settings.item:
        if item_id not in found:
            raise DuetError(f"item {item_id!r} is not in the manifest")
    return [(item_id, found[item_id]) for item_id in settings.item]


if __name__ == "__main__":
    raise SystemExit(main())
