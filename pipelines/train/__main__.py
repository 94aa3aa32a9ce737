"""``duet train``: manifest -> checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.command import command
from cluster.runtime import runtime
from cluster.settings import parse_settings
from pipelines.errors import DuetError

from .launch import train
from .progress import follow
from .run_folder import check_same_run
from .settings import TrainSettings


@command("duet train", DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Train, or continue an interrupted run; print where the checkpoint lies."""
    settings = parse_settings(TrainSettings, argv, "duet train")
    check_same_run(settings)
    if (settings.out / "checkpoint" / "checkpoint.json").exists():
        print(f"{settings.out} holds a finished run already; its checkpoint: {settings.out / 'checkpoint'}")
        return 0
    with runtime(settings.ray), follow(settings.out, settings.epochs):
        trained = train(settings)
    for problem in (settings.out / "problems.txt").read_text(encoding="utf-8").splitlines():
        print(problem)
    entry = trained.history[-1]
    if trained.best is not None:
        print(f"best validation MAP@all {trained.best:.4f} at epoch {trained.best_epoch} of {entry['epoch']}")
    print(f"checkpoint: {trained.checkpoint}")
    print(f"curves: {settings.out / 'curves.png'}; metrics: {settings.out / 'metrics.jsonl'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
