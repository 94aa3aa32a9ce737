"""``duet ingest --watch``: what comes into a folder or a Kafka topic is taken in: in order, once each."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from cluster.runtime import runtime
from pipelines.data.files import Source
from pipelines.errors import BusyError, DuetError
from pipelines.index.committer import Committer
from pipelines.index.lease import Lease
from pipelines.index.publish import publish
from pipelines.index.store import Index

from .driver import run_ingest
from .drops import DELETES, Drops
from .settings import IngestSettings
from .summary import IngestSummary
from .topic import Topic

T = TypeVar("T")


def watch(settings: IngestSettings, tell: Callable[[str], None] | None = None) -> None:
    """Take in what waits, then look again every ``poll_seconds``; ends by an interrupt, or after ``idle_seconds``.

    Args:
        settings: with ``watch``.
        tell: where a line about each drop goes; None = stderr.

    Raises:
        DuetError: of a drop that cannot be taken in; none after it is, since they may build on one another.
    """
    say = tell or (lambda line: print(line, file=sys.stderr, flush=True))
    with _source(settings) as drops:
        _when_free(lambda: _publish_rest(settings), settings, "what is committed", say)
        say(f"watching {settings.watch}")
        _follow(settings, drops, say)


@contextmanager
def _source(settings: IngestSettings) -> Iterator[Drops | Topic]:
    assert settings.watch is not None
    index = Index.create(settings.index)
    if not settings.watch.startswith("kafka://"):
        yield Drops(index, settings.watch)
        return
    with runtime(settings.ray):  # Ray's reader reads the topic
        yield Topic(index, settings.watch, settings.kafka_settings(), settings.attributes)


def _follow(settings: IngestSettings, drops: Drops | Topic, say: Callable[[str], None]) -> None:
    warned: set[Source] = set()
    last = time.monotonic()
    while True:
        looked = datetime.now(UTC)
        for source in drops.rewritten():
            if source not in warned:
                warned.add(source)
                say(f"{source.path} is another file than the one that was taken in; give it a new name")
        waiting = drops.waiting()
        for number, source in enumerate(waiting):
            rest = waiting[number + 1 :]
            say(_take(settings, source, drops, len(rest), drops.fresh_at(rest, looked), say))
            last = time.monotonic()
        if not waiting:
            if settings.idle_seconds is not None and time.monotonic() - last >= settings.idle_seconds:
                return
            time.sleep(settings.poll_seconds)


def _publish_rest(settings: IngestSettings) -> None:
    """Publish what a watch committed, and recorded, that was ended before it published."""
    index = Index.open(settings.index)
    latest = index.latest()
    served = [one for one in index.generations() if latest is None or one.name == latest.generation][:1]
    if not served:
        return
    with Lease(index.uri) as lease:
        for generation in served:
            committer = Committer(index, generation, lease)
            if committer.changed is None and committer.sequence:
                place, fresh_at = (None, None) if latest is None else (latest.checkpoint_uri, latest.fresh_at)
                publish(committer, place, fresh_at=fresh_at, settings=settings.publishing)


def _take(
    settings: IngestSettings,
    source: Source,
    drops: Drops | Topic,
    left: int,
    fresh_at: datetime,
    say: Callable[[str], None],
) -> str:
    """Take a drop in, when nobody else writes to the index; a line about it."""
    name, recorded = drops.name_of(source), False

    def committed() -> None:
        nonlocal recorded
        drops.taken(source)
        recorded = True

    stem = source.path.rpartition("/")[2].rpartition(".")[0]
    one = settings.model_copy(update={"manifest": [source.path], "watch": None, "delete": stem.endswith(DELETES)})
    try:
        summary = _when_free(lambda: run_ingest(one, fresh_at=fresh_at, committed=committed), settings, name, say)
    except DuetError as error:
        what = "is committed and recorded, but not published" if recorded else "is not taken in"
        raise type(error)(f"{name} {what}, nor what comes after it: {error}") from error
    behind = datetime.now(UTC).timestamp() - source.modified / 1e9
    return f"{name}: {_counts(summary)}; {summary.snapshot_id}, {behind:.1f} s after it was written; {left} wait"


def _when_free(do: Callable[[], T], settings: IngestSettings, name: str, say: Callable[[str], None]) -> T:
    """Do something as soon as nobody else writes to the index."""
    waited = False
    while True:
        try:
            return do()
        except BusyError as error:
            if not waited:
                say(f"{name} waits: {error}")
            waited = True
            time.sleep(settings.poll_seconds)


def _counts(summary: IngestSummary) -> str:
    names = ("new", "changed", "relabelled", "unchanged", "refused", "deleted", "absent")
    counts = [f"{getattr(summary, name):,} {name}" for name in names if getattr(summary, name)]
    return ", ".join(counts) or "nothing in it"
