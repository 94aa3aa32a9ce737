"""The index on S3: what rests on a file system's atomic operations elsewhere rests on conditional writes here."""

from __future__ import annotations

import threading

import lance
import pytest
from lance.commit import CommitConflictError

from pipelines.errors import StoreError
from pipelines.index.committer import Committer
from pipelines.index.datasets import create_dataset, write_rows
from pipelines.index.lease import Lease
from pipelines.index.naming import ITEMS
from pipelines.index.page_key import page_key
from pipelines.index.publish import PublishSettings, publish
from pipelines.index.reader_lease import ReaderLease
from pipelines.index.requests import Request, Requests
from pipelines.index.retention import RetentionSettings, remove_orphans
from pipelines.index.sentinel import FIRST_MARK, new_mark, sentinel_row
from pipelines.index.store import Index
from pipelines.index.switch import publish_generation, retire_generation, roll_back
from pipelines.index.upkeep import UpkeepSettings
from tests.s3 import S3

from .support import HOSTILE_IDS, Item, assert_tables_hold, checkpoint, receipt, rows
from .test_sentinel import SCHEMA, commit
from .test_sentinel import rows as some_rows

OLD = {item_id: Item(number % 8) for number, item_id in enumerate(HOSTILE_IDS)}


@pytest.fixture
def remote(s3: S3, request: pytest.FixtureRequest) -> Index:
    """An empty index in a bucket of its own."""
    bucket = f"index-{abs(hash(request.node.name))}"
    s3.client.create_dir(bucket)
    return Index.create(f"s3://{bucket}/shop/index")


def test_the_life_of_an_index(s3: S3, remote: Index) -> None:
    quick = PublishSettings(
        retention=RetentionSettings(snapshots=2, minutes=0, batch=1), upkeep=UpkeepSettings(fragments=3)
    )
    state, ever = dict(OLD), dict(OLD)
    with Lease(remote.uri) as lease:
        committer = Committer(remote, remote.create_generation(checkpoint(), "/c0"), lease)
        committer.commit([receipt(committer, upserts=state)])
        publish(committer, settings=quick)
        for step in range(6):
            changes = {f"new {step}": Item(step), HOSTILE_IDS[step]: Item(7 - step)}
            gone = [HOSTILE_IDS[-1 - step]]
            committer.commit([receipt(committer, upserts=changes, deletes=gone)])
            state, ever = state | changes, ever | changes
            del state[gone[0]]
            publish(committer, settings=quick)
        assert_tables_hold(committer, state)
        assert len(remote.snapshots()) == 2, "older ones are retired, and their versions gone"
        table = committer.datasets[ITEMS]
        assert len(table.get_fragments()) < 6 and len(table.versions()) < 6
        # A killed worker's file is an orphan, which the next run removes.
        before = s3.keys(table.uri.removeprefix("s3://"))
        write_rows(table, rows(committer, {"x": Item(1)}, 1, ITEMS))
        remove_orphans(committer)
        assert set(s3.keys(table.uri.removeprefix("s3://"))) <= set(before)
        assert_tables_hold(committer, state)
        assert roll_back(remote, lease, settings=quick).items == len(state)
        second = Committer(remote, remote.create_generation(checkpoint(seed=1), "/c1"), lease)
        second.commit([receipt(second, upserts=ever)])
        publish_generation(remote, lease, second.generation.name)
        latest = Index.open(remote.uri).latest()
        assert latest is not None and latest.generation == second.generation.name
        with ReaderLease(remote.uri) as reader:
            held = [one.snapshot_id for one in remote.snapshots() if one.generation != latest.generation]
            reader.hold(held)
            with pytest.raises(StoreError, match="is being read"):
                retire_generation(remote, lease, committer.generation.name)
        retire_generation(remote, lease, committer.generation.name)
        prefix = remote.uri.removeprefix("s3://")
        assert not [key for key in s3.keys(prefix) if f"/{committer.generation.name}." in key]
        assert_tables_hold(second, ever)


def test_of_two_that_commit_at_once_one_is_refused(remote: Index) -> None:
    uri = f"{remote.uri}/race.lance"
    create_dataset(uri, sentinel_row(SCHEMA, FIRST_MARK))
    won: list[int] = []
    for number in range(5):
        read = lance.dataset(uri)
        gate = threading.Barrier(4)
        lost: list[int] = []

        def race(read: lance.LanceDataset, number: int, gate: threading.Barrier, lost: list[int]) -> None:
            gate.wait()
            try:
                commit(read, some_rows(f"i{number}"), new_mark(number))
                won.append(number)
            except CommitConflictError:
                lost.append(number)

        racers = [threading.Thread(target=race, args=(read, number, gate, lost)) for _ in range(4)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert len(lost) == 3
    assert won == list(range(5))
    assert lance.dataset(uri).count_rows() == 6


def test_one_holds_the_lease(remote: Index) -> None:
    got: list[bool] = []
    gate = threading.Barrier(6)

    def take() -> None:
        gate.wait()
        try:
            with Lease(remote.uri):
                got.append(True)
                gate.wait(30)
        except StoreError:
            got.append(False)
            gate.wait(30)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 5 + [True]


def test_a_commit_that_was_killed_is_repaired(remote: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    with Lease(remote.uri) as lease:
        committer = Committer(remote, remote.create_generation(checkpoint(), "/c"), lease)
        committer.commit([receipt(committer, upserts=OLD)])
        plain, left = lance.LanceDataset.commit, [3]

        def deadly(*arguments: object, **options: object) -> lance.LanceDataset:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return plain(*arguments, **options)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(lance.LanceDataset, "commit", deadly)
            with pytest.raises(Killed):
                committer.commit([receipt(committer, upserts={"half": Item(1)})])
        assert_tables_hold(Committer(remote, committer.generation, lease), OLD)


def test_what_is_not_there_is_told(s3: S3) -> None:
    s3.client.create_dir("empty")
    with pytest.raises(StoreError, match="there is no index at s3://empty/x; `duet ingest` makes one"):
        Index.open("s3://empty/x")
    with pytest.raises(StoreError, match="s3://no-such-bucket/x"):
        Index.create("s3://no-such-bucket/x")


def test_requests_and_the_key_of_page_tokens(remote: Index) -> None:
    assert page_key(remote.uri) == page_key(Index.open(remote.uri).uri)
    one, other = Request("one", "1"), Request("other", "2")
    with Lease(remote.uri) as lease:
        committer = Committer(remote, remote.create_generation(checkpoint(), "/c"), lease)
        committer.commit([receipt(committer, upserts=OLD)], one, {"new": len(OLD)})
        Requests(remote).begin(other, committer.generation.name, "a mark that nothing has")
        Committer(remote, committer.generation, lease)
    done = Requests(remote).find("one")
    assert done is not None and (done.begun, done.answer, done.counts) == (False, None, {"new": len(OLD)})
    assert Requests(remote).find("other") is None
    Requests(remote).answered(one, b"yes")
    done = Requests(Index.open(remote.uri)).find("one")
    assert done is not None and done.answer == b"yes"
