"""The runs of a sweep: recipe x seed -> trained and evaluated, each by the commands a user would give."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from cluster.cores import cores
from pipelines.errors import DuetError

from .settings import SweepSettings


@dataclass(frozen=True)
class Run:
    """One recipe with one seed.

    Args:
        recipe: its file.
        seed: of the training.
        folder: of `duet train`; the evaluation lies in ``evaluation-SPLIT`` in it, what the commands print in
            ``sweep.log``.
        split: that is evaluated.
    """

    recipe: Path
    seed: int
    folder: Path
    split: str

    @property
    def name(self) -> str:
        """As progress and errors call it."""
        return self.folder.name

    @property
    def evaluation(self) -> Path:
        """What `duet evaluate compare` takes."""
        return self.folder / f"evaluation-{self.split}"

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: an evaluation's report is the last thing that is written."""
        return (self.evaluation / "report.json").exists()


def plan(settings: SweepSettings) -> list[Run]:
    """All runs, the baseline's first, seed by seed, so that an early stop leaves whole columns of the table.

    Raises:
        DuetError: a recipe is missing, two have one name, or there is none of the baseline's name.
    """
    recipes: dict[str, Path] = {}
    for given in settings.recipes:
        found = sorted(given.glob("*.toml")) if given.is_dir() else [given]
        if not found:
            raise DuetError(f"{given}: no recipe in this folder (*.toml)")
        for path in found:
            if not path.is_file():
                raise DuetError(f"{path}: no such recipe")
            other = recipes.setdefault(path.stem, path)
            if other != path:
                raise DuetError(f"{path} and {other} would make runs of one name: rename one of them")
    baseline = settings.baseline or next(iter(recipes))
    if baseline not in recipes:
        raise DuetError(f"--baseline {baseline}: no such recipe; there are {', '.join(recipes)}")
    ordered = sorted(recipes, key=lambda name: name != baseline)
    return [
        Run(recipes[name], seed, settings.out / f"{name}-{seed}", settings.split)
        for seed in dict.fromkeys(settings.seeds)
        for name in ordered
    ]


def perform(runs: Sequence[Run], settings: SweepSettings) -> Iterator[tuple[Run, str | None]]:
    """Do the runs, ``jobs`` at a time; yields each when it has ended, with the line that tells why it failed, or None.

    A failed run does not end the others. What has not begun when the caller stops is not begun.
    """
    with ThreadPoolExecutor(settings.jobs) as pool:
        futures: dict[Future[str | None], Run] = {pool.submit(_perform, run, settings): run for run in runs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def commands(run: Run, settings: SweepSettings) -> list[list[str]]:
    """The arguments of `duet` that make a run."""
    data = [part for one in settings.manifest for part in ("--manifest", one)]
    data += [part for one in settings.roots for part in ("--roots", one)]
    train = ["train", "--recipe", str(run.recipe), *data, "--out", str(run.folder), "--seed", str(run.seed)]
    checkpoint = str(run.folder / "checkpoint")
    evaluate = ["evaluate", "--checkpoint", checkpoint, *data, "--split", settings.split, "--out", str(run.evaluation)]
    # A cluster's nodes have other cores than this machine, and `duet train` knows how to share them.
    threads = [] if "RAY_ADDRESS" in os.environ else ["--threads", str(_threads(settings))]
    return [[*train, *threads], evaluate]


def _threads(settings: SweepSettings) -> int:
    return max(1, cores() // settings.jobs)


def _perform(run: Run, settings: SweepSettings) -> str | None:
    run.folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(_threads(settings))}
    path = run.folder / "sweep.log"
    with path.open("a", encoding="utf-8") as log:
        for arguments in commands(run, settings):
            command = [sys.executable, "-m", "pipelines.cli", *arguments]
            log.write(f"$ duet {' '.join(arguments)}\n")
            log.flush()
            status = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False).returncode
            if status:
                last = path.read_text(encoding="utf-8", errors="replace").splitlines()[-1]
                return f"duet {arguments[0]} ended with status {status} ({path}): {last}"
    return None
