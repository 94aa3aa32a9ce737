"""Manifests that are dropped into a folder: in order, once each; without Ray, since they are small."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from pipelines.errors import GateError, ManifestError
from pipelines.index.lease import Lease
from pipelines.index.store import Index
from pipelines.ingest import delete, run
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.drops import Drops
from pipelines.ingest.settings import IngestSettings
from pipelines.ingest.watch import watch

from .support import Entry, Oracle, catalogue, write_manifest

pytestmark = pytest.mark.slow


def settings_of(tmp_path: Path, checkpoint: Path | None, **more: object) -> IngestSettings:
    values = {"poll_seconds": 0.05, "idle_seconds": 0.3, "threads": 1, "batch": 8, **more}
    return IngestSettings(
        watch=str(tmp_path / "in"),
        index=str(tmp_path / "index"),
        checkpoint=None if checkpoint is None else str(checkpoint),
        **values,  # type: ignore[arg-type]
    )


def test_drops_are_taken_in_in_order_and_once(tmp_path: Path, checkpoint: Path, oracle: Oracle) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    first = catalogue(12)
    write_manifest(folder / "2.parquet", {"item '1'": Entry(90), "late": Entry(91)})
    write_manifest(folder / "1.parquet", first)
    write_manifest(folder / "3.delete.parquet", {"item '2'": Entry()})
    write_manifest(folder / ".4.parquet", {"half": Entry(1)})
    said: list[str] = []
    watch(settings_of(tmp_path, checkpoint), said.append)
    wanted = {**first, "item '1'": Entry(90), "late": Entry(91)}
    del wanted["item '2'"]
    index = Index.open(tmp_path / "index")
    oracle.check(index, wanted)
    assert [line.split(": ")[0].rpartition("/")[2] for line in said[1:]] == [
        "1.parquet",
        "2.parquet",
        "3.delete.parquet",
    ]
    assert "12 new; s00000001" in said[1] and "1 new, 1 changed; s00000002" in said[2] and "1 deleted" in said[3]
    latest = index.latest()
    assert latest is not None and latest.fresh_at is not None and latest.fresh_at <= latest.published_at
    # Again, by a new process: nothing is taken in twice, though the first would undo the second.
    write_manifest(folder / "2.parquet", {"item '1'": Entry(7)})
    said.clear()
    watch(settings_of(tmp_path, None), said.append)
    assert len(said) == 2 and "2.parquet is another file than the one that was taken in" in said[1]
    oracle.check(index, wanted)
    (folder / ".4.parquet").rename(folder / "4.parquet")
    watch(settings_of(tmp_path, None), said.append)
    oracle.check(index, {**wanted, "half": Entry(1)})


def test_it_takes_in_what_waits_and_ends(tmp_path: Path, checkpoint: Path, oracle: Oracle) -> None:
    (tmp_path / "in").mkdir()
    write_manifest(tmp_path / "in" / "1.parquet", catalogue(2))
    watch(settings_of(tmp_path, checkpoint, idle_seconds=0))
    oracle.check(Index.open(tmp_path / "index"), catalogue(2))


def test_a_snapshot_is_as_fresh_as_the_oldest_drop_that_waits(tmp_path: Path, checkpoint: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    began = datetime.now(UTC)
    for number, hours_ago in ((1, 1), (2, 2), (3, 5), (4, 3)):
        path = write_manifest(folder / f"{number}.parquet", {f"item {number}": Entry(number)})
        written = (began - timedelta(hours=hours_ago)).timestamp()
        os.utime(path, (written, written))
    watch(settings_of(tmp_path, checkpoint))
    fresh = [snapshot.fresh_at for snapshot in Index.open(tmp_path / "index").snapshots()]
    assert None not in fresh
    hours = [round((began - one).total_seconds() / 3600, 2) for one in fresh if one is not None]
    assert hours == [5, 5, 3, 0], "what waits is older, and not in it"
    assert fresh[-1] is not None and fresh[-1] >= began


def test_a_drop_waits_for_who_writes_to_the_index(tmp_path: Path, checkpoint: Path, oracle: Oracle) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_manifest(folder / "1.parquet", catalogue(3))
    index = Index.create(tmp_path / "index")
    said: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        with Lease(index.uri):
            watching = pool.submit(watch, settings_of(tmp_path, checkpoint), said.append)
            while len(said) < 2 and not watching.done():
                time.sleep(0.05)
            assert index.latest() is None
        watching.result(timeout=60)
    assert "1.parquet waits: the index" in said[1] and "3 new" in said[2] and len(said) == 3
    oracle.check(index, catalogue(3))


def test_what_comes_while_it_watches_is_published_soon(tmp_path: Path, checkpoint: Path, oracle: Oracle) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_manifest(folder / "0.parquet", catalogue(4))
    said: list[str] = []
    thread = threading.Thread(target=watch, args=(settings_of(tmp_path, checkpoint, idle_seconds=3), said.append))
    thread.start()
    while len(said) < 2:
        time.sleep(0.05)
    write_manifest(folder / ".1.parquet", {"more": Entry(50)})
    (folder / ".1.parquet").rename(folder / "1.parquet")
    thread.join(timeout=120)
    assert len(said) == 3 and "1 new" in said[2]
    oracle.check(Index.open(tmp_path / "index"), {**catalogue(4), "more": Entry(50)})


def test_a_drop_that_cannot_be_read_stops_what_comes_after_it(tmp_path: Path, checkpoint: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_manifest(folder / "1.parquet", catalogue(3))
    (folder / "2.parquet").write_bytes(b"PAR1 and no more")
    write_manifest(folder / "3.parquet", {"after": Entry(5)})
    for _ in range(2):
        with pytest.raises(ManifestError, match=r"2.parquet is not taken in, nor what comes after it: "):
            watch(settings_of(tmp_path, checkpoint))
        latest = Index.open(tmp_path / "index").latest()
        assert latest is not None and latest.items == 3
    write_manifest(folder / "2.parquet", {"mended": Entry(4)})
    watch(settings_of(tmp_path, checkpoint))
    latest = Index.open(tmp_path / "index").latest()
    assert latest is not None and latest.items == 5


def test_a_drop_that_the_gate_refuses_is_named(tmp_path: Path, checkpoint: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_manifest(folder / "1.parquet", catalogue(4))
    write_manifest(folder / "2.delete.parquet", catalogue(3))
    with pytest.raises(GateError, match=r"2.delete.parquet is committed and recorded, .*: of 4 served items 1 "):
        watch(settings_of(tmp_path, checkpoint))
    with pytest.raises(GateError, match="of 4 served items 1 are left"):
        watch(settings_of(tmp_path, checkpoint))
    latest = Index.open(tmp_path / "index").latest()
    assert latest is not None and latest.items == 4
    watch(settings_of(tmp_path, checkpoint, gate={"max_loss": 1.0}))
    latest = Index.open(tmp_path / "index").latest()
    assert latest is not None and latest.items == 1


@pytest.mark.parametrize("name", ["2.parquet", "2.delete.parquet"])
def test_a_watch_that_is_killed_before_it_publishes_does_not_undo_what_others_changed(
    tmp_path: Path, checkpoint: Path, oracle: Oracle, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder, index = tmp_path / "in", tmp_path / "index"
    folder.mkdir()
    write_manifest(folder / "1.parquet", catalogue(3))
    watch(settings_of(tmp_path, checkpoint))
    write_manifest(folder / name, {"item '0'": Entry(30)})

    def killed(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "publish", killed)
        patch.setattr(delete, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            watch(settings_of(tmp_path, checkpoint))
    served = Index.open(index).latest()
    assert served is not None and (served.snapshot_id, served.items) == ("s00000001", 3)
    other = write_manifest(tmp_path / "other.parquet", {"item '0'": Entry(31)})
    run_ingest(IngestSettings(manifest=[other], index=str(index), inline_rows=9))
    watch(settings_of(tmp_path, checkpoint))
    oracle.check(Index.open(index), {**catalogue(3), "item '0'": Entry(31)})


def test_a_watch_publishes_first_what_one_before_committed(
    tmp_path: Path, checkpoint: Path, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, index = tmp_path / "in", tmp_path / "index"
    folder.mkdir()
    write_manifest(folder / "1.parquet", catalogue(3))

    def killed(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    for number in range(2):  # at first nothing is served, then the one before
        with monkeypatch.context() as patch:
            patch.setattr(run, "publish", killed)
            with pytest.raises(KeyboardInterrupt):
                watch(settings_of(tmp_path, checkpoint))
        said: list[str] = []
        watch(settings_of(tmp_path, checkpoint), said.append)
        assert len(said) == 1, "nothing is taken in again"
        oracle.check(Index.open(index), {**catalogue(3), **({"item '0'": Entry(30)} if number else {})})
        write_manifest(folder / "2.parquet", {"item '0'": Entry(30)})
    snapshots = Index.open(index).snapshots()
    watch(settings_of(tmp_path, checkpoint))
    assert Index.open(index).snapshots() == snapshots, "nothing is published where there is nothing new"


def test_a_watch_that_is_killed_between_commit_and_record_takes_it_in_again(
    tmp_path: Path, checkpoint: Path, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_manifest(folder / "1.parquet", catalogue(3))
    write_manifest(folder / "2.parquet", {"item '0'": Entry(30)})
    with monkeypatch.context() as patch:
        patch.setattr(Drops, "taken", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            watch(settings_of(tmp_path, checkpoint))
    said: list[str] = []
    watch(settings_of(tmp_path, checkpoint), said.append)
    assert "3 unchanged" in said[1] and "1 changed" in said[2]
    oracle.check(Index.open(tmp_path / "index"), {**catalogue(3), "item '0'": Entry(30)})


def test_the_record_stays_small(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    index = Index.create(tmp_path / "index")
    dice, drops = random.Random(0), Drops(index, str(folder))
    names = [f"{dice.randrange(10**6):06d}.parquet" for _ in range(80)]
    for name in names:
        (folder / name).write_bytes(b"x")
    assert [source.path for source in drops.waiting()] == sorted(str(folder / name) for name in set(names))
    for source in drops.waiting():
        drops.taken(source)
    assert Drops(index, str(folder)).waiting() == []
    assert len(index.dataset("drops").get_fragments()) < 34 and len(index.dataset("drops").versions()) < 40


def test_the_folder_must_be_there(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(ManifestError, match="no such folder to watch"):
        watch(settings_of(tmp_path, checkpoint))


def test_the_command(tmp_path: Path, checkpoint: Path) -> None:
    (tmp_path / "in").mkdir()
    write_manifest(tmp_path / "in" / "1.parquet", catalogue(3))
    command = [sys.executable, "-m", "pipelines.ingest", "--watch", str(tmp_path / "in"), "--idle-seconds", "0.5"]
    command += ["--index", str(tmp_path / "index"), "--checkpoint", str(checkpoint), "--poll-seconds", "0.1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "1.parquet: 3 new; s00000001" in done.stderr
    both = subprocess.run([*command, "--manifest", "x"], capture_output=True, text=True, timeout=100, check=False)
    assert both.returncode == 2 and "give either --manifest" in both.stderr
