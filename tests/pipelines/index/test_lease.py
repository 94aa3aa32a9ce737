from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lance
import pyarrow as pa
import pytest

from pipelines.errors import BusyError, StoreError
from pipelines.index import lease as lease_module
from pipelines.index.lease import Lease
from pipelines.index.store import Index

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
NAMESPACE = Path("/proc/self/ns/pid").stat().st_ino
HOLDER = """
import sys, time
from pipelines.index.lease import Lease
with Lease(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(uri: str) -> subprocess.Popen[str]:
    """Another process that holds the lease."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, uri], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def rewrite(index: Index, **values: object) -> None:
    """Change the row of the lease."""
    dataset = lance.dataset(f"{index.uri}/lease.lance")
    row = dataset.to_table().to_pylist()[0] | values
    lance.write_dataset(
        dataset.to_table().schema.empty_table().from_pylist([row], schema=dataset.schema), dataset.uri, mode="overwrite"
    )


def test_a_second_writer_is_told_who_writes_and_takes_over_when_it_is_killed(index: Index) -> None:
    other = hold(index.uri)
    try:
        with pytest.raises(StoreError, match=f"process {other.pid} on .*wait until it has finished"), Lease(index.uri):
            pass
    finally:
        kill(other)
    with Lease(index.uri) as lease:
        lease.check()
        assert lease.predecessor == "killed"


def test_it_is_given_back(index: Index) -> None:
    with Lease(index.uri) as first:
        pass
    with Lease(index.uri) as lease:
        lease.check()
    assert first.predecessor == lease.predecessor == "gone"


@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_files_of_a_run_that_ended_by_an_error_are_remembered_until_they_are_removed(
    index: Index, error: BaseException
) -> None:
    with pytest.raises(type(error)), Lease(index.uri):
        raise error
    for _ in range(2):  # the first of which is no ingestion
        with Lease(index.uri) as lease:
            assert lease.predecessor == "killed"
    with Lease(index.uri) as lease:
        lease.forget_orphans()
    with Lease(index.uri) as lease:
        assert lease.predecessor == "gone"


def test_files_of_a_killed_run_are_remembered_by_others(index: Index) -> None:
    other = hold(index.uri)
    kill(other)
    for _ in range(2):
        with Lease(index.uri) as lease:
            assert lease.predecessor == "killed"


def test_nothing_is_removed_while_one_that_fell_silent_may_wake_up(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever comes after it: it may be about to add an index to a table."""
    monkeypatch.setattr(lease_module, "EXPIRY", timedelta(seconds=0.5))
    with Lease(index.uri):
        pass

    def fall_silent() -> None:
        rewrite(index, token="x", host="elsewhere", pid=1)
        lease = Lease(index.uri)
        with pytest.raises(InterruptedError), lease:
            raise InterruptedError
        assert lease.predecessor == "silent"

    fall_silent()
    kill(hold(index.uri))
    with Lease(index.uri) as lease:
        assert lease.predecessor == "gone"
    monkeypatch.setattr(lease_module, "_GRACE", timedelta(0))
    fall_silent()
    with Lease(index.uri) as lease:
        assert lease.predecessor == "killed"


def test_one_process_cannot_hold_it_twice(index: Index) -> None:
    with Lease(index.uri), pytest.raises(StoreError, match=f"process {os.getpid()}"), Lease(index.uri):
        pass


def test_another_thread_cannot_take_it_while_it_is_taken(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    swap = lease_module._swap

    def swap_and_look(dataset: lance.LanceDataset, row: pa.Table) -> None:
        swap(dataset, row)
        monkeypatch.setattr(lease_module, "_swap", swap)
        with pytest.raises(BusyError), Lease(index.uri):
            pass

    monkeypatch.setattr(lease_module, "_swap", swap_and_look)
    with Lease(index.uri) as lease:
        lease.check()
    assert not lease_module._held_here, "nor is one remembered that was not taken"


def test_a_holder_on_another_host_is_believed_at_its_next_beat(
    index: Index, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However wrong its clock is."""
    monkeypatch.setattr(lease_module, "EXPIRY", timedelta(seconds=60))
    with Lease(index.uri):
        pass
    rewrite(index, token="x", host="elsewhere", pid=1, beat=datetime.now(UTC) - timedelta(days=1))
    beat = threading.Timer(0.5, rewrite, [index], {"beat": datetime.now(UTC) - timedelta(hours=23)})
    beat.start()
    with pytest.raises(StoreError, match="is being written by process 1 on elsewhere"), Lease(index.uri):
        pass
    beat.join()
    assert "is held by process 1 on elsewhere; watching for 60 s" in caplog.text


def test_a_holder_on_another_host_that_is_silent_is_taken_over(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "EXPIRY", timedelta(seconds=1))
    with Lease(index.uri):
        pass
    rewrite(index, token="x", host="elsewhere", pid=1, beat=datetime.now(UTC) + timedelta(days=1))
    began = time.monotonic()
    with Lease(index.uri) as lease:
        assert time.monotonic() - began > 1
        lease.check()
        assert lease.predecessor == "silent"


@pytest.mark.parametrize(
    "identity", [f" {BOOT}/1", f" before/{NAMESPACE}", ""], ids=["container", "restart", "older-version"]
)
def test_numbers_of_processes_mean_others_in_another_container_and_before_a_restart(
    index: Index, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, identity: str
) -> None:
    """Though the machine has the same name, and no such process, the holder may live."""
    assert lease_module._host() == f"{socket.gethostname()} {BOOT}/{NAMESPACE}"
    monkeypatch.setattr(lease_module, "EXPIRY", timedelta(seconds=0.5))
    with Lease(index.uri):
        pass
    rewrite(index, token="x", host=f"{socket.gethostname()}{identity}", pid=2**30)
    with Lease(index.uri) as lease:
        assert lease.predecessor == "silent"
    assert f"is held by process {2**30} on {socket.gethostname()}; watching" in caplog.text


def test_a_lease_that_is_given_back_while_it_is_watched_is_free(index: Index) -> None:
    with Lease(index.uri):
        pass
    rewrite(index, token="x", host="elsewhere", pid=1)
    threading.Timer(0.5, rewrite, [index], {"token": ""}).start()
    with Lease(index.uri) as lease:
        lease.check()


def test_our_own_number_from_before_a_restart_is_dead(index: Index) -> None:
    with Lease(index.uri):
        pass
    rewrite(index, token="of the container before", pid=os.getpid())
    with Lease(index.uri) as lease:
        lease.check()
        assert lease.predecessor == "killed"


def test_one_that_runs_and_does_not_beat_may_wake_up(index: Index) -> None:
    other = hold(index.uri)
    try:
        rewrite(index, beat=datetime.now(UTC) - timedelta(days=1))
        with Lease(index.uri) as lease:
            assert lease.predecessor == "silent"
    finally:
        kill(other)


def test_of_two_rows_the_last_to_beat_counts(index: Index) -> None:
    """A beat that slept while others' were cleaned away is no conflict to Lance."""
    with Lease(index.uri):
        pass
    dataset = lance.dataset(f"{index.uri}/lease.lance")
    row = dataset.to_table().to_pylist()[0] | {"token": "x", "beat": datetime.now(UTC) - timedelta(days=1)}
    lance.write_dataset(pa.Table.from_pylist([row], schema=dataset.schema), dataset.uri, mode="append")
    for _ in range(2):
        with Lease(index.uri) as lease:
            lease.check()
    assert lance.dataset(dataset.uri).count_rows() == 1


def test_whoever_was_taken_over_is_told(index: Index) -> None:
    with Lease(index.uri) as lease:
        rewrite(index, token="x", host="elsewhere", pid=1)
        with pytest.raises(StoreError, match="taken over by process 1 on elsewhere"):
            lease.check()
    row = lance.dataset(f"{index.uri}/lease.lance").to_table().to_pylist()[0]
    assert row["token"] == "x", "it gave back what was not its own"


@pytest.mark.parametrize("error", [StoreError, RuntimeError])  # the latter of Lance itself
def test_it_beats_on_after_a_hiccup_of_the_store_and_ends_when_it_was_taken_over(
    index: Index, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: type[Exception]
) -> None:
    monkeypatch.setattr(lease_module, "BEAT_SECONDS", 0.01)
    open_dataset, refused = lease_module.open_dataset, threading.Semaphore(0)
    down = False

    def sometimes(uri: str) -> lance.LanceDataset:
        if down:
            refused.release()
            raise error("the store does not answer")
        return open_dataset(uri)

    monkeypatch.setattr(lease_module, "open_dataset", sometimes)
    with Lease(index.uri) as lease:
        down = True
        assert all(refused.acquire(timeout=30) for _ in range(3))
        with pytest.raises(error, match="does not answer"):
            lease.check()
        down = False
        assert caplog.text.count("trying again: the store does not answer") == 1
        before, end = lance.dataset(f"{index.uri}/lease.lance").version, time.monotonic() + 30
        while lance.dataset(f"{index.uri}/lease.lance").version < before + 3 and time.monotonic() < end:
            time.sleep(0.01)
        assert lance.dataset(f"{index.uri}/lease.lance").version >= before + 3
        while lease._beats.is_alive() and time.monotonic() < end:
            rewrite(index, token="x")  # again: a beat that was under way may come behind it
            lease._beats.join(0.1)
        assert not lease._beats.is_alive()


def test_it_beats_and_its_versions_do_not_pile_up(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(lease_module, "_VERSIONS_KEPT", timedelta(0))
    with Lease(index.uri) as lease:
        deadline = time.monotonic() + 30
        while lance.dataset(f"{index.uri}/lease.lance").version < 140 and time.monotonic() < deadline:
            time.sleep(0.05)
        lease.check()
    table = lance.dataset(f"{index.uri}/lease.lance")
    assert table.version >= 140
    assert len(table.versions()) < 100
    assert table.count_rows() == 1


def test_of_many_that_want_it_at_once_one_gets_it(index: Index) -> None:
    with Lease(index.uri):
        pass
    code = """
import sys
from pipelines.errors import StoreError
from pipelines.index.lease import Lease
lease = Lease(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    lease.__enter__()
except StoreError:
    print("refused", flush=True)
else:
    print("held", flush=True)
sys.stdin.readline()
"""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code, index.uri]
    racers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) for _ in range(4)]

    def tell(text: str) -> None:
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write(f"{text}\n")

    def heard() -> list[str]:
        return sorted(racer.stdout.readline().strip() for racer in racers if racer.stdout is not None)

    try:
        assert heard() == ["ready"] * 4
        tell("go")
        assert heard() == ["held", "refused", "refused", "refused"]
        tell("end")  # it is held until all have answered
    finally:
        for racer in racers:
            racer.communicate(timeout=60)
