"""``make demo``: draw, train, ingest, evaluate, serve, ask. A second call repeats what is cheap and keeps the rest."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
import pyarrow.parquet as pq
from pydantic import Field

from cluster.command import command
from cluster.runtime import runtime
from cluster.settings import Settings, parse_settings
from pipelines.data.manifest import Manifest, row_labels
from pipelines.data.wardrobe.generate import write_wardrobe
from pipelines.errors import DuetError
from pipelines.evaluate.__main__ import main as evaluate
from pipelines.ingest.__main__ import main as ingest
from pipelines.serve.client import Client
from pipelines.serve.errors import ServiceError
from pipelines.serve.page import build_page
from pipelines.train.__main__ import main as train

from .page import Answer, Shown, tally, write_page
from .questions import Labels, Question, questions

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "demo.toml"

_PROG = "python -m pipelines.demo"


class DemoSettings(Settings):
    """Draw a wardrobe, train on it, index what the encoder never saw, serve it, and ask."""

    out: Path = Path("runs/demo")
    """Folder for everything that the demo makes."""
    items: int = Field(4000, ge=400)
    """Garments: 70 % to train on, 10 % to validate, 20 % to search."""
    seed: int = Field(1, ge=0)
    """Of the wardrobe."""
    recipe_file: Path = RECIPE
    """Training recipe."""
    hits: int = Field(8, ge=1, le=50)
    """Answers shown of each question."""


@command(_PROG, DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; say after each step what it did and where it lies."""
    settings = parse_settings(DemoSettings, argv, _PROG)
    start, out = time.monotonic(), settings.out
    out.mkdir(parents=True, exist_ok=True)
    wardrobe, catalogue, index = out / "wardrobe.parquet", out / "catalogue.parquet", out / "index"
    warnings.filterwarnings("ignore", "lance is not fork-safe")  # Ray's forks are each followed by an exec at once
    _step("wardrobe", "drawing garments whose labels are known")
    if not wardrobe.exists():
        write_wardrobe(wardrobe, settings.items, settings.seed)
    if not catalogue.exists():
        held_out = catalogue.with_suffix(".writing")
        pq.write_table(pq.read_table(wardrobe, filters=[("split", "=", "test")]), held_out)
        held_out.replace(catalogue)
    with runtime():
        _step("train", "an encoder, with Ray Train")
        recipe = ["--recipe", str(settings.recipe_file)]
        _run(train(["--manifest", str(wardrobe), "--out", str(out / "train"), *recipe]))
        checkpoint = str(out / "train" / "checkpoint")
        _step("ingest", "the held-out garments, with Ray Data, into LanceDB")
        _run(ingest(["--manifest", str(catalogue), "--checkpoint", checkpoint, "--index", str(index)]))
    _step("evaluate", "on the held-out garments")
    _run(evaluate(["--checkpoint", checkpoint, "--manifest", str(wardrobe), "--out", str(out / "evaluation")]))
    _step("serve and ask", "gRPC, through the Python client")
    labels = _labels(catalogue)
    with _server(index) as target, Client(target) as client:
        answers = [
            _ask(client, question, labels, out, n) for n, question in enumerate(questions(labels, settings.hits))
        ]
    report = (out / "evaluation" / "report.md").read_text(encoding="utf-8")
    for path in (out / "train" / "curves.png", *sorted((out / "evaluation").glob("*.png"))):
        shutil.copy(path, out / path.name)
    pictures = [("Loss and validation MAP@all", "curves.png"), ("Nearest items per attribute", "retrieval.png")]
    pictures += [("Nearest items of manipulated queries", "manipulation.png")]
    write_page(out / "index.html", answers, report, pictures)
    print(f"\ndone in {(time.monotonic() - start) / 60:.1f} minutes")
    print(f"results page: {out / 'index.html'}")
    print(f"checkpoint: {checkpoint}; index: {index}; figures: {out / 'evaluation' / 'report.md'}")
    print(f"serve it: duet serve --index {index}")
    return 0


def _step(name: str, text: str) -> None:
    print(f"\n== {name}: {text}", flush=True)


def _run(status: int) -> None:
    if status:
        raise SystemExit(status)


def _labels(catalogue: Path) -> dict[str, Labels]:
    manifest = Manifest.open([str(catalogue)])
    return {
        row["item_id"]: {name: frozenset(values) for name, values in row_labels(row, manifest.attributes).items()}
        for batch in manifest.batches(columns=["item_id", *manifest.attributes])
        for row in batch.to_pylist()
    }


@contextmanager
def _server(index: Path) -> Iterator[str]:
    """A server of its own process, as it would run; it is asked to end at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command_line = [sys.executable, "-m", "pipelines.serve", "--index", str(index), "--port", str(port)]
    with (index.parent / "server.log").open("w") as log:
        process = subprocess.Popen(command_line, stdout=log, stderr=log, env=os.environ)
    try:
        _wait(process, f"127.0.0.1:{port}", index.parent / "server.log")
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait(process: subprocess.Popen[bytes], target: str, log: Path) -> None:
    with Client(target, timeout=5) as client:
        for _ in range(600):
            if process.poll() is not None:
                raise DuetError(f"the server ended with status {process.returncode}; see {log}")
            try:
                client.published()
                return
            except ServiceError as error:
                if error.code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
                time.sleep(0.2)
    raise DuetError(f"the server did not answer within two minutes; see {log}")


def _ask(client: Client, question: Question, labels: dict[str, Labels], out: Path, number: int) -> Answer:
    result = client.search(question.request)
    items = {hit.item_id: client.item(hit.item_id) for hit in result.hits}
    asked = question.request.item_id
    query = client.item(asked) if asked else None
    page = out / f"question-{number + 1}.html"
    page.write_text(build_page(question.request, result, items, query), encoding="utf-8")
    shown = [
        Shown(items[hit.item_id].thumbnail, _words(labels[hit.item_id]), question.right(labels[hit.item_id]))
        for hit in result.hits
    ]
    query_shown = Shown(query.thumbnail, _words(labels[asked]), None) if query and asked else None
    possible = sum(question.right(carried) for item, carried in labels.items() if item != asked)
    answer = Answer(question.text, possible, query_shown, shown, page.name)
    print(f"{question.text}: {tally(answer)} ({sum(result.timings.values()) * 1000:.0f} ms)")
    return answer


def _words(labels: Labels) -> str:
    return ", ".join(value for name in sorted(labels) for value in sorted(labels[name]))


if __name__ == "__main__":
    raise SystemExit(main())
