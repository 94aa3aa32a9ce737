"""Progress of a run as its worker writes it: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_POLL = 0.5  # seconds


@contextmanager
def follow(out: Path, epochs: int) -> Iterator[None]:
    """Show the run in ``out`` while the block trains it."""
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(out, epochs, done), name="duet-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _watch(out: Path, epochs: int, done: threading.Event) -> None:
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    shown = len(_entries(out / "metrics.jsonl"))  # a resumed run does not repeat its past
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting workers", total=epochs, completed=shown)
        while True:
            last = done.wait(_POLL)
            for entry in _entries(out / "metrics.jsonl")[shown:]:
                shown += 1
                console.print(_line(entry, epochs), highlight=False)
            latest = _last(out / "progress.jsonl")
            if latest:
                position = latest["epoch"] + latest["step"] / latest["steps"]
                bar.update(task, completed=max(position, shown), description=f"loss {latest['loss']:.3f}")
            if last:
                return


def _line(entry: dict[str, Any], epochs: int) -> str:
    score = f"  MAP@all {entry['map']:.4f}{' *' if entry['best'] else ''}" if "map" in entry else ""
    return (
        f"epoch {entry['epoch']}/{epochs}  loss {entry['loss']:.4f}{score}  "
        f"{entry['images_per_second']:.0f} images/s  {entry['seconds']:.0f} s"
    )


def _entries(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _last(path: Path) -> dict[str, Any] | None:
    """The last whole line of a file that is being written."""
    if not path.exists():
        return None
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines[-2:] if line.endswith("\n")]
    entry: dict[str, Any] | None = json.loads(whole[-1]) if whole else None
    return entry
