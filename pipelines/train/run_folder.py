"""What lies in a run folder besides Ray's own, and whether a command may continue it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.checkpoint import save_checkpoint
from model.taxonomy import Taxonomy
from pipelines.data.item_store import ItemStore
from pipelines.data.taxonomy import load_taxonomy
from pipelines.errors import CheckpointError

from .settings import TrainSettings

if TYPE_CHECKING:
    from .trainer import Trainer


def write_epoch(trainer: Trainer, entry: dict[str, Any]) -> None:
    """Worker 0, after an epoch: encoders, metrics. Written before the state, so that a resume finds all of it."""
    out = trainer.settings.out
    trainer.average.swap()
    metrics = {name: value for name, value in entry.items() if name.startswith("map")} | {"epoch": entry["epoch"]}
    for name in ("best", "last") if entry["best"] else ("last",):
        save_checkpoint(out / name, trainer.encoder, trainer.preparation, metrics=metrics)
    trainer.average.swap()
    lines = "".join(json.dumps(line) + "\n" for line in trainer.progress.history)
    temporary = out / ".metrics.jsonl"
    temporary.write_text(lines, encoding="utf-8")
    temporary.replace(out / "metrics.jsonl")


def write_problems(out: Path, training: ItemStore, validation: ItemStore | None) -> None:
    """``problems.txt``: what is not trained or validated on, and why; workers' own output is not shown to the user."""
    stores = {"train": training, **({"val": validation} if validation else {})}
    lines = [f"{split}: {problem}\n" for split, store in stores.items() for problem in store.problems()]
    (out / "problems.txt").write_text("".join(lines), encoding="utf-8")


def read_history(out: Path) -> list[dict[str, Any]]:
    """One entry per finished epoch."""
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def kept_epoch(history: list[dict[str, Any]]) -> dict[str, Any]:
    """The entry of the weights in ``best/``. An earlier one may have a higher MAP, of an earlier stage."""
    return [entry for entry in history if entry["best"]][-1]


def check_same_taxonomy(settings: TrainSettings, taxonomy: Taxonomy) -> None:
    """Raise `CheckpointError` if the folder holds a run with other classes."""
    if (settings.out / "metrics.jsonl").exists():
        kept = load_taxonomy(settings.out / "taxonomy.json")
        if kept.digest != taxonomy.digest:
            raise CheckpointError(
                f"{settings.out} holds a run with other classes (taxonomy.json): "
                f"give another --out, or --taxonomy {settings.out / 'taxonomy.json'} to continue it"
            )


def check_same_run(settings: TrainSettings) -> None:
    """Raise `CheckpointError` if the folder holds a run with other settings."""
    path = settings.out / "settings.json"
    if not path.exists():
        return
    before = TrainSettings.model_validate(json.loads(path.read_text(encoding="utf-8"))).identity()
    now = settings.model_copy(update={"encoder": settings.encoder.absolute()}).identity()
    changed = sorted(name for name in now if before.get(name) != now[name])
    if changed:
        raise CheckpointError(
            f"{settings.out} holds a run with other settings ({', '.join(changed)}): "
            "give another --out, or the same settings to continue it"
        )
