"""``duet attention``: pictures of where an encoder looks, by attribute and by predicted class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic_settings import CliPositionalArg
from safetensors.numpy import save_file

from cluster.command import command
from cluster.settings import Settings, parse_settings
from model.checkpoint import load_checkpoint
from model.errors import ImageError
from pipelines.data.images import prepare
from pipelines.errors import DuetError

from .attention import draw_look, look

_PROG = "duet attention"


class AttentionSettings(Settings):
    """Draw where an encoder looks in pictures: a PNG for each, and the maps as arrays (.safetensors) beside it."""

    images: CliPositionalArg[list[Path]]
    """Pictures."""
    checkpoint: Path
    """Folder of the checkpoint."""
    out: Path
    """Folder for the results, called as the pictures are."""


@command(_PROG, DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Draw every picture; return the exit status."""
    settings = parse_settings(AttentionSettings, argv, _PROG)
    stems = [path.stem for path in settings.images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise DuetError(f"two pictures are called {twice[0]!r}: their results would lie in one file")
    checkpoint = load_checkpoint(settings.checkpoint)
    settings.out.mkdir(parents=True, exist_ok=True)
    for path in settings.images:
        try:
            pixels = prepare(path.read_bytes(), checkpoint.preparation)
        except OSError as error:
            raise DuetError(f"{path}: {error.strerror}") from error
        except ImageError as error:
            raise DuetError(f"{path}: {error}") from error
        seen = look(checkpoint.encoder, pixels)
        target = settings.out / f"{path.stem}.png"
        target.write_bytes(draw_look(pixels, seen))
        arrays = dict(seen.attributes)
        arrays |= {f"{attribute}: {name}": attention for (attribute, name), attention in seen.classes.items()}
        # Not as .npz, whose names are Python's argument names: an attribute may be called "file".
        save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, target.with_suffix(".safetensors"))
        print(target)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
