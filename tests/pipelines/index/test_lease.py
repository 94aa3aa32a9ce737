from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import lance
import pytest

from pipelines.errors import StoreError
from pipelines.index import lease as lease_module
from pipelines.index.lease import Lease
from pipelines.index.store import Index

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
        other.kill()
        other.wait()
        assert other.stdout is not None
        other.stdout.close()
    with Lease(index.uri) as lease:
        lease.check()


def test_it_is_given_back(index: Index) -> None:
    with Lease(index.uri):
        pass
    with Lease(index.uri) as lease:
        lease.check()


def test_one_process_cannot_hold_it_twice(index: Index) -> None:
    with Lease(index.uri), pytest.raises(StoreError, match=f"process {os.getpid()}"), Lease(index.uri):
        pass


def test_a_holder_on_another_host_is_believed_until_it_falls_silent(index: Index) -> None:
    with Lease(index.uri):
        pass
    rewrite(index, token="x", host="elsewhere", pid=1, beat=datetime.now(UTC) - timedelta(seconds=60))
    with pytest.raises(StoreError, match="process 1 on elsewhere"), Lease(index.uri):
        pass
    rewrite(index, beat=datetime.now(UTC) - lease_module.EXPIRY)
    with Lease(index.uri) as lease:
        lease.check()


def test_our_own_number_from_before_a_restart_is_dead(index: Index) -> None:
    with Lease(index.uri):
        pass
    rewrite(index, token="of the container before", pid=os.getpid())
    with Lease(index.uri) as lease:
        lease.check()


def test_whoever_was_taken_over_is_told(index: Index) -> None:
    with Lease(index.uri) as lease:
        rewrite(index, token="x", host="elsewhere", pid=1)
        with pytest.raises(StoreError, match="taken over by process 1 on elsewhere"):
            lease.check()
    row = lance.dataset(f"{index.uri}/lease.lance").to_table().to_pylist()[0]
    assert row["token"] == "x", "it gave back what was not its own"


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
import sys, time
from pipelines.errors import StoreError
from pipelines.index.lease import Lease
lease = Lease(sys.argv[1])
time.sleep(max(0, float(sys.argv[2]) - time.time()))
try:
    lease.__enter__()
except StoreError:
    print("refused")
else:
    print("held")
    time.sleep(2)
"""
    start = str(time.time() + 4)
    racers = [
        subprocess.Popen([sys.executable, "-c", code, index.uri, start], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    answers = sorted(racer.communicate()[0].strip() for racer in racers)
    assert answers == ["held", "refused", "refused", "refused"]
