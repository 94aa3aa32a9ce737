from __future__ import annotations

import pickle
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.checkpoint import load_checkpoint
from pipelines.data.manifest import Manifest
from pipelines.errors import ManifestError
from pipelines.index.committer import Committer
from pipelines.index.lease import Lease
from pipelines.index.naming import DEAD_LETTERS, ITEMS
from pipelines.index.schema import LIVE
from pipelines.index.store import Index
from pipelines.ingest import pending as pending_module
from pipelines.ingest.chunk import Action
from pipelines.ingest.duplicates import superseded_rows
from pipelines.ingest.encode import EncodePlan, EncodeWorker
from pipelines.ingest.ledger import Ledger
from pipelines.ingest.pending import Pending, row_hash
from pipelines.ingest.report import Report
from pipelines.ingest.transport import chunk_schema, pack_chunk, unpack

from .support import TAXONOMY, Entry, catalogue, picture, write_manifest


def pending(manifest: Manifest, ledger: Ledger | None = None, chunk: int = 7) -> Pending:
    return Pending(manifest, TAXONOMY.names, ledger, superseded_rows(manifest), chunk, 100)


def actions(work: Pending) -> dict[str, str]:
    return {row["item_id"]: str(row["action"]) for chunk in work.chunks() for row in chunk.rows}


def ingest_here(index: Index, checkpoint: Path, manifest: Manifest) -> tuple[Ledger, Report]:
    """Index a manifest in this process, without Ray -> the ledger afterwards."""
    loaded = load_checkpoint(checkpoint)
    with Lease(index.uri) as lease:
        metadata = tuple(manifest.schema.field(name) for name in manifest.metadata)
        generation = index.create_generation(loaded, str(checkpoint), metadata)
        committer = Committer(index, generation, lease)
        ledger = Ledger.of(index, generation.name, committer.datasets)
        worker = EncodeWorker(EncodePlan(str(checkpoint), loaded.digest, index.uri, generation.name, "cpu", 8, 1, 16))
        total = Report()
        schema = chunk_schema(ledger.schema)
        for chunk in pending(manifest, ledger).chunks():
            sequence, rows, report = unpack(pack_chunk(chunk, schema))
            receipt = worker.index_chunk(sequence, rows, report)
            total.add(report)
            committer.commit([receipt])
        assert total.balanced and total.seen == manifest.count()
        return Ledger.of(index, generation.name, committer.datasets), total


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 6).map(str), max_size=30), st.integers(1, 4))
def test_of_equal_ids_the_last_row_counts(tmp_path: Path, ids: list[str], parts: int) -> None:
    for part in range(parts):  # over several files
        table = pa.table({"item_id": pa.array(ids[part::parts], pa.string()), "image": [b"x"] * len(ids[part::parts])})
        pq.write_table(table, tmp_path / f"{part}.parquet")
    manifest = Manifest.open([str(tmp_path / f"{part}.parquet") for part in range(parts)])
    order = [i for part in range(parts) for i in ids[part::parts]]
    naive = [number for number, item_id in enumerate(order) if item_id in order[number + 1 :]]
    assert superseded_rows(manifest).tolist() == naive
    rows = [row["item_id"] for chunk in pending(manifest).chunks() for row in chunk.rows]
    assert rows == [item_id for number, item_id in enumerate(order) if number not in naive]


def test_chunks_are_full_in_order_and_the_same_each_time(tmp_path: Path) -> None:
    manifest = Manifest.open([write_manifest(tmp_path / "a.parquet", catalogue(45))])
    work = pending(manifest)
    chunks = list(work.chunks())
    assert [chunk.sequence for chunk in chunks] == list(range(101, 101 + len(chunks)))
    assert [len(chunk.rows) for chunk in chunks] == [7] * 6 + [3]
    assert [row["item_id"] for chunk in chunks for row in chunk.rows] == list(catalogue(45))
    assert sum(chunk.seen for chunk in chunks) == 45
    again = pickle.loads(pickle.dumps(work))
    assert [chunk.rows for chunk in again.chunks()] == [chunk.rows for chunk in chunks]


def test_an_empty_manifest_is_one_empty_chunk(tmp_path: Path) -> None:
    chunks = list(pending(Manifest.open([write_manifest(tmp_path / "a.parquet", {})])).chunks())
    assert [(chunk.seen, chunk.rows) for chunk in chunks] == [(0, [])]


def test_what_a_row_means_follows_from_the_ledger(tmp_path: Path, checkpoint: Path) -> None:
    index = Index.create(tmp_path / "index")
    first = {f"i{n}": Entry(n, ("dots",), n) for n in range(20)}
    ledger, _ = ingest_here(index, checkpoint, Manifest.open([write_manifest(tmp_path / "a.parquet", first)]))
    second = first | {
        "i1": Entry(101, ("dots",), 1),
        "i2": Entry(2, ("tribal",), 2),
        "i3": Entry(3, ("dots",), 99),
        "i4": Entry(104, (), 4),
        "fresh": Entry(7),
    }
    manifest = Manifest.open([write_manifest(tmp_path / "b.parquet", second)])
    work = pending(manifest, ledger)
    assert actions(work) == {
        "i1": Action.CHANGED,
        "i2": Action.RELABELLED,
        "i3": Action.RELABELLED,
        "i4": Action.CHANGED,
        "fresh": Action.NEW,
    }
    assert sum(chunk.passed["unchanged"] for chunk in work.chunks()) == 16
    rows = {row["item_id"]: row for chunk in work.chunks() for row in chunk.rows}
    assert rows["i2"]["image"] is None and rows["i2"]["thumbnail"].startswith(b"\xff\xd8\xff")
    assert rows["i1"]["image"] == picture(101)
    after, report = ingest_here(index, checkpoint, manifest)
    assert report.actions == {"changed": 2, "relabelled": 2, "new": 1, "unchanged": 16}
    assert actions(pending(manifest, after)) == {}
    assert len(actions(pending(manifest, ledger))) == 5, "an older version of the ledger is another ledger"


def test_pictures_beside_the_manifest_are_compared_by_content(tmp_path: Path, checkpoint: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.jpg").write_bytes(picture(n))
    path = tmp_path / "m.csv"
    path.write_text(
        "item_id,image_uri\n" + "".join(f"i{n},{n}.jpg\n" for n in range(3)) + "gone,missing.jpg\nout,../m.csv\n"
    )
    manifest = Manifest.open([str(path)], roots=[str(folder)])
    index = Index.create(tmp_path / "index")
    ledger, report = ingest_here(index, checkpoint, manifest)
    assert report.refusals == {"NOT_FOUND": 1, "OUTSIDE_ROOTS": 1}
    assert report.actions["new"] == 3
    (folder / "1.jpg").write_bytes(picture(11))
    assert actions(pending(manifest, ledger)) == {"i1": "changed"}, "the others are refused as before"


def test_a_date_that_no_calendar_has_names_the_column(tmp_path: Path, checkpoint: Path) -> None:
    table = pq.read_table(write_manifest(tmp_path / "a.parquet", catalogue(2)))
    far = pa.array([0, 253_402_300_800_000_000], pa.timestamp("us"))  # the year 10000
    pq.write_table(table.append_column("since", far), tmp_path / "b.parquet")
    with pytest.raises(ManifestError, match="column 'since' holds a date that no calendar has"):
        ingest_here(Index.create(tmp_path / "index"), checkpoint, Manifest.open([str(tmp_path / "b.parquet")]))


def test_a_metadata_type_that_does_not_fit_names_the_column(tmp_path: Path, checkpoint: Path) -> None:
    index = Index.create(tmp_path / "index")
    ledger, _ = ingest_here(index, checkpoint, Manifest.open([write_manifest(tmp_path / "a.parquet", catalogue(3))]))
    table = pq.read_table(tmp_path / "a.parquet")
    fits = table.set_column(3, "price", pa.array(["0", "1", None], pa.string()))
    pq.write_table(fits, tmp_path / "b.parquet")
    assert actions(pending(Manifest.open([str(tmp_path / "b.parquet")]), ledger)) == {"item '2'": "relabelled"}
    pq.write_table(table.set_column(3, "price", pa.array(["0", "x", None])), tmp_path / "c.parquet")
    with pytest.raises(ManifestError, match="'price' is int64 in the index and string in the manifest"):
        actions(pending(Manifest.open([str(tmp_path / "c.parquet")]), ledger))


LABELS = st.dictionaries(st.sampled_from("abc"), st.lists(st.sampled_from("xyz"), max_size=3), max_size=3)
METADATA = st.dictionaries(st.sampled_from("pq"), st.none() | st.integers() | st.text() | st.booleans(), max_size=2)


@given(LABELS, METADATA, LABELS, METADATA)
def test_a_row_hash_is_equal_if_and_only_if_the_row_says_the_same(
    labels: dict[str, list[str]], metadata: dict[str, object], others: dict[str, list[str]], more: dict[str, object]
) -> None:
    def meaning(a: dict[str, list[str]], b: dict[str, object]) -> object:
        told = {k: frozenset(v) for k, v in a.items() if v}
        return told, {k: (type(v), v) for k, v in b.items() if v is not None}

    same = meaning(labels, metadata) == meaning(others, more)
    assert (row_hash(labels, metadata, "u") == row_hash(others, more, "u")) == same
    assert row_hash(labels, metadata, "u") != row_hash(labels, metadata, None)


def test_progress_is_told_also_where_nothing_is_pending(tmp_path: Path, checkpoint: Path) -> None:
    manifest = Manifest.open([write_manifest(tmp_path / "a.parquet", catalogue(80))])
    ledger, _ = ingest_here(Index.create(tmp_path / "index"), checkpoint, manifest)
    work = Pending(manifest, TAXONOMY.names, ledger, np.empty(0, np.int64), 2, 0)
    assert [(chunk.seen, chunk.passed["unchanged"], chunk.rows) for chunk in work.chunks()] == [
        (64, 64, []),
        (16, 16, []),
    ]


def test_a_new_column_can_be_compared_before_the_index_has_it(tmp_path: Path, checkpoint: Path) -> None:
    """As a dry run does: it does not add the column."""
    index = Index.create(tmp_path / "index")
    ledger, _ = ingest_here(index, checkpoint, Manifest.open([write_manifest(tmp_path / "a.parquet", catalogue(3))]))
    table = pq.read_table(tmp_path / "a.parquet")
    pq.write_table(table.append_column("season", pa.array(["summer", None, None])), tmp_path / "b.parquet")
    assert actions(pending(Manifest.open([str(tmp_path / "b.parquet")]), ledger)) == {"item '0'": "relabelled"}


def test_text_that_is_no_label_is_no_label(tmp_path: Path) -> None:
    """A column that is called like an attribute, beside others that were named as the attributes."""
    collar, pattern = TAXONOMY.names
    path = tmp_path / "m.csv"
    path.write_text(f"item_id,image_uri,{collar},{pattern}\ni,a.jpg,round,dots|tribal\n")
    (tmp_path / "a.jpg").write_bytes(picture(1))
    manifest = Manifest.open([str(path)], roots=[str(tmp_path)], attributes=[pattern])
    ((row,),) = [chunk.rows for chunk in pending(manifest).chunks()]
    assert row["labels"] == {collar: [], pattern: ["dots", "tribal"]}
    assert row["metadata"] == {collar: "round"}


def test_a_letter_goes_when_what_it_is_about_is_over(tmp_path: Path, checkpoint: Path) -> None:
    """An indexed item is given a bad picture, then its old one again: it is unchanged, without complaint."""
    index = Index.create(tmp_path / "index")
    good = catalogue(3)
    manifests = [
        Manifest.open([write_manifest(tmp_path / f"{number}.parquet", entries)])
        for number, entries in enumerate([good, good | {"item '1'": Entry(9, broken=True)}])
    ]

    def letters(ledger: Ledger) -> list[str]:
        table = index.dataset(DEAD_LETTERS, ledger.generation).to_table(filter=LIVE)
        return table["item_id"].to_pylist()

    ledger, _ = ingest_here(index, checkpoint, manifests[0])
    ledger, report = ingest_here(index, checkpoint, manifests[1])
    assert report.actions["refused"] == 1 and letters(ledger) == ["item '1'"]
    before = index.dataset(ITEMS, ledger.generation).to_table(filter=LIVE)
    ledger, report = ingest_here(index, checkpoint, manifests[0])
    assert report.actions == {"unchanged": 3} and letters(ledger) == []
    assert index.dataset(ITEMS, ledger.generation).to_table(filter=LIVE).equals(before)
    assert actions(pending(manifests[0], ledger)) == {}


def test_what_was_refused_is_not_tried_again_until_it_is_another_picture(tmp_path: Path, checkpoint: Path) -> None:
    for name, data in (("cut.jpg", b"\xff\xd8\xff cut"), ("fine.jpg", picture(1))):
        (tmp_path / name).write_bytes(data)
    path = tmp_path / "m.csv"
    path.write_text("item_id,image_uri\ncut,cut.jpg\nmissing,missing.jpg\nfine,fine.jpg\n")
    manifest = Manifest.open([str(path)], roots=[str(tmp_path)])
    index = Index.create(tmp_path / "index")
    _, report = ingest_here(index, checkpoint, manifest)
    assert report.actions == {"new": 1, "refused": 2}
    again, report = ingest_here(index, checkpoint, manifest)
    assert report.actions == {"unchanged": 1, "unchanged_refused": 2}
    assert actions(pending(manifest, again)) == {}
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff cut elsewhere")
    (tmp_path / "missing.jpg").write_bytes(b"")  # it is refused as before, but for another reason
    assert actions(pending(manifest, again)) == {"cut": "new", "missing": "new"}


def test_no_more_pictures_are_in_memory_than_a_chunk_and_what_is_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, lock = 10_000, threading.Lock()
    live = peak = 0

    class Counted(bytes):
        """A picture that tells when it goes."""

        def __del__(self) -> None:
            nonlocal live
            with lock:
                live -= size

    def read(row: object, roots: object) -> bytes:
        nonlocal live, peak
        with lock:
            live += size
            peak = max(peak, live)
        return Counted(str(row).encode().ljust(size))

    monkeypatch.setattr(pending_module, "row_image", read)
    monkeypatch.setattr(pending_module, "_CHUNK_BYTES", 10 * size)
    monkeypatch.setattr(pending_module, "_AHEAD_BYTES", 10 * size)
    path = tmp_path / "m.csv"
    path.write_text("item_id,image_uri\n" + "".join(f"i{n},{n}.jpg\n" for n in range(500)))
    work = pending(Manifest.open([str(path)], roots=[str(tmp_path)]), chunk=1000)
    counts = []
    for chunk in work.chunks():
        counts.append(len(chunk.rows))
        del chunk
    assert counts == [10] * 50 + [0]
    # A chunk and the one before it, what is read ahead, and what the readers have in hand.
    assert peak <= (20 + 10 + pending_module._READERS + 2) * size
    assert live <= 2 * size
