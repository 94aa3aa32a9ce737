"""``duet sweep``: recipes x seeds -> runs, and one comparison of all."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

from cluster.command import command
from cluster.settings import parse_settings
from pipelines.data.writing import make_folder
from pipelines.errors import DuetError
from pipelines.evaluate.compare.command import main as compare

from .runs import Run, perform, plan
from .settings import SweepSettings

_PROG = "duet sweep"


@command(_PROG, DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Do the runs that are missing, then compare; ends with 1 if a run failed."""
    settings = parse_settings(SweepSettings, argv, _PROG)
    runs = plan(settings)
    make_folder(settings.out)
    settings.save(settings.out / "settings.json")
    open_runs = [run for run in runs if not run.finished]
    _say(f"{len(runs)} runs, {len(open_runs)} to do, {settings.jobs} at a time: {settings.out}")
    start, failed = time.monotonic(), []
    for number, (run, failure) in enumerate(perform(open_runs, settings), 1):
        minutes = (time.monotonic() - start) / 60
        left = f"{minutes:.0f} min so far, about {minutes / number * (len(open_runs) - number):.0f} to go"
        _say(f"[{number} of {len(open_runs)}] {run.name}: {failure or _result(run, settings.split)}; {left}")
        if failure:
            failed.append(run.name)
    done = [run.evaluation for run in runs if run.finished]
    status = 0
    if done:
        status = compare([*map(str, done), "--out", str(settings.out / "comparison")])
    if failed:
        _say(f"failed: {', '.join(failed)}; the same command tries them again")
    return 1 if failed else status


def _result(run: Run, split: str) -> str:
    report = json.loads((run.evaluation / "report.json").read_text(encoding="utf-8"))
    return f"MAP@all {report['retrieval']['overall']['values']['MAP@all']:.4f} on {split}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
