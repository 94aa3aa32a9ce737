from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from model.checkpoint import load_checkpoint
from pipelines.data.manifest import Manifest
from pipelines.errors import CheckpointError
from pipelines.index.committer import Committer
from pipelines.index.lease import Lease
from pipelines.index.naming import DEAD_LETTERS, ITEMS, class_table
from pipelines.index.publish import publish
from pipelines.index.receipt import Receipt
from pipelines.index.schema import LIVE
from pipelines.index.store import Index
from pipelines.ingest.decode_stage import decode_chunk
from pipelines.ingest.duplicates import superseded_rows
from pipelines.ingest.encode import EncodePlan, EncodeWorker
from pipelines.ingest.ledger import Ledger
from pipelines.ingest.pending import Pending
from pipelines.ingest.report import Report
from pipelines.ingest.transport import chunk_schema, pack_chunk, unpack_receipt

from .support import TAXONOMY, Entry, Oracle, catalogue, write_checkpoint, write_manifest


class Bench:
    """An index and a worker without Ray."""

    def __init__(self, folder: Path, checkpoint: Path, thumbnail_size: int = 16) -> None:
        self.index = Index.create(folder / "index")
        self.folder, self.checkpoint = folder, load_checkpoint(checkpoint)
        metadata = (pa.field("price", pa.int64()),)
        self.generation = self.index.create_generation(self.checkpoint, str(checkpoint), metadata)
        self.plan = EncodePlan(
            str(checkpoint), self.checkpoint.digest, self.index.uri, self.generation.name, "cpu", 8, 2, thumbnail_size
        )
        self.worker = EncodeWorker(self.plan)

    def run(self, entries: dict[str, Entry], *, separately: bool = False) -> list[tuple[Receipt, Report]]:
        manifest = Manifest.open([write_manifest(self.folder / "m.parquet", entries)])
        answers = []
        with Lease(self.index.uri) as lease:
            committer = Committer(self.index, self.generation, lease)
            ledger = Ledger.of(self.index, self.generation.name, committer.datasets)
            names = self.checkpoint.taxonomy.names
            for chunk in Pending(manifest, names, ledger, superseded_rows(manifest), 20, committer.sequence).chunks():
                packed = pack_chunk(chunk, chunk_schema(ledger.schema))
                if separately:
                    packed = decode_chunk(packed, self.checkpoint.preparation, self.plan.thumbnail_size)
                receipt, report = unpack_receipt(self.worker(packed))
                committer.commit([receipt])
                answers.append((receipt, report))
            publish(committer)
        return answers


@pytest.mark.parametrize("separately", [False, True], ids=["fused", "separate"])
def test_the_tables_hold_what_one_picture_at_a_time_gives(
    tmp_path: Path, checkpoint: Path, oracle: Oracle, separately: bool
) -> None:
    bench = Bench(tmp_path, checkpoint)
    entries = catalogue(30)
    answers = bench.run(entries, separately=separately)
    oracle.check(bench.index, entries)
    assert sum(report.encoded for _, report in answers) == 30
    assert sum(receipt.vectors for receipt, _ in answers) == 30 * 2 + 30 + _class_rows(bench)
    latest = bench.index.latest()
    assert latest is not None
    items = bench.index.reader(latest).items(["sequence"])["sequence"].to_pylist()
    assert sorted(items) == [1] * 20 + [2] * 10


def _class_rows(bench: Bench) -> int:
    tables = (bench.index.dataset(class_table(name), bench.generation.name) for name in TAXONOMY.names)
    return sum(table.to_table(filter=LIVE).num_rows for table in tables)


@pytest.mark.parametrize("separately", [False, True], ids=["fused", "separate"])
def test_bad_pictures_are_dead_letters_and_harm_no_others(
    tmp_path: Path, checkpoint: Path, oracle: Oracle, separately: bool
) -> None:
    bench = Bench(tmp_path, checkpoint)
    good = catalogue(25)
    bad = {f"bad {n}": Entry(n, broken=True) for n in range(25)}
    mixed = {i: e for pair in zip(good.items(), bad.items(), strict=True) for i, e in pair}
    answers = bench.run(mixed, separately=separately)
    oracle.check(bench.index, good)
    total = Report()
    for _, report in answers:
        total.add(report)
    assert (total.actions["new"], total.actions["refused"]) == (25, 25)
    assert total.balanced and total.refusals == {"TRUNCATED": 25}
    letters = bench.index.dataset(DEAD_LETTERS, bench.generation.name).to_table(filter=LIVE).to_pylist()
    assert {(row["item_id"], row["attempt"], row["stage"], row["code"]) for row in letters} == {
        (item_id, 1, "decode", "TRUNCATED") for item_id in bad
    }
    assert all(len(row["image_hash"]) == 64 and row["message"] for row in letters)
    fixed = mixed | {"bad 3": Entry(3)}
    bench.run(fixed, separately=separately)
    oracle.check(bench.index, good | {"bad 3": Entry(3)})
    letters = bench.index.dataset(DEAD_LETTERS, bench.generation.name).to_table(filter=LIVE).to_pylist()
    assert {(row["item_id"], row["attempt"]) for row in letters} == {(i, 1) for i in bad if i != "bad 3"}
    worse = fixed | {"bad 4": Entry(104, broken=True)}
    bench.run(worse, separately=separately)
    letters = bench.index.dataset(DEAD_LETTERS, bench.generation.name).to_table(filter=LIVE).to_pylist()
    assert sorted(row["attempt"] for row in letters if row["item_id"] == "bad 4") == [1, 2]


def test_a_chunk_of_nothing_but_bad_pictures(tmp_path: Path, checkpoint: Path, oracle: Oracle) -> None:
    bench = Bench(tmp_path, checkpoint)
    bench.run({f"bad {n}": Entry(n, broken=True) for n in range(3)})
    oracle.check(bench.index, {})


def test_an_output_that_is_not_finite_is_refused(tmp_path: Path, checkpoint: Path, oracle: Oracle) -> None:
    bench = Bench(tmp_path, checkpoint)
    whole = bench.worker._checkpoint.encoder.attributes
    calls = 0

    def sometimes(images: torch.Tensor) -> object:
        nonlocal calls
        output = whole(images)
        if calls == 1:  # the second pass: items 8 to 15, of which the third gets a NaN
            output.embeddings[2, 1, 5] = float("nan")
        calls += 1
        return output

    bench.worker._checkpoint.encoder.attributes = sometimes  # type: ignore[method-assign,assignment]
    entries = catalogue(20)
    bench.run(entries)
    lost = list(entries)[10]
    letters = bench.index.dataset(DEAD_LETTERS, bench.generation.name).to_table(filter=LIVE).to_pylist()
    assert [(row["item_id"], row["stage"], row["code"]) for row in letters] == [(lost, "encode", "NOT_FINITE")]
    oracle.check(bench.index, {i: e for i, e in entries.items() if i != lost})


def test_relabelling_keeps_vectors_and_thumbnail_and_needs_no_encoder(
    tmp_path: Path, checkpoint: Path, oracle: Oracle
) -> None:
    bench = Bench(tmp_path, checkpoint)
    entries = catalogue(12)
    bench.run(entries)
    before = bench.index.dataset(ITEMS, bench.generation.name).to_table(filter=LIVE)

    def never(images: torch.Tensor) -> object:
        raise AssertionError("the encoder was used")

    bench.worker._checkpoint.encoder.attributes = never  # type: ignore[method-assign,assignment]
    entries["item '4'"] = Entry(4, ("it's", "tribal"), -1)
    ((receipt, report),) = bench.run(entries)
    assert receipt.relabelled == ("item '4'",) and receipt.replaced == ()
    assert report.actions == {"relabelled": 1, "unchanged": 11}
    oracle.check(bench.index, entries)
    after = bench.index.dataset(ITEMS, bench.generation.name).to_table(filter=LIVE)
    for column in ("thumbnail", "image_hash"):
        pairs = (dict(zip(t["item_id"].to_pylist(), t[column].to_pylist(), strict=True)) for t in (before, after))
        assert next(pairs) == next(pairs)


def test_in_a_chunk_of_all_kinds_each_item_has_its_own_thumbnail(tmp_path: Path, checkpoint: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    mixed, alone = Bench(tmp_path / "one", checkpoint), Bench(tmp_path / "two", checkpoint)
    mixed.run({"relabelled": Entry(1), "changed": Entry(2), "kept": Entry(3)})
    entries = {
        "new": Entry(4),
        "relabelled": Entry(1, ("dots",)),
        "broken": Entry(5, broken=True),
        "kept": Entry(3),
        "changed": Entry(6),
    }
    mixed.run(entries)
    alone.run(entries)
    stored = (
        bench.index.dataset(ITEMS, bench.generation.name).to_table(columns=["item_id", "thumbnail"], filter=LIVE)
        for bench in (mixed, alone)
    )
    one, two = ({row["item_id"]: row["thumbnail"] for row in table.to_pylist()} for table in stored)
    assert one == two
    assert len(set(one.values())) == 4


@pytest.mark.parametrize("size", [0, 8, 40, 200])
def test_thumbnails(tmp_path: Path, checkpoint: Path, size: int) -> None:
    bench = Bench(tmp_path, checkpoint, thumbnail_size=size)
    bench.run(catalogue(3))
    for data in bench.index.dataset(ITEMS, bench.generation.name).to_table(filter=LIVE)["thumbnail"].to_pylist():
        if size == 0:
            assert data is None
        else:
            image = Image.open(io.BytesIO(data))
            assert image.format == "JPEG"
            assert max(image.size) == min(size, 48), "of 40x48 pixels"


def test_class_rows_are_written_in_the_order_of_classes(tmp_path: Path, checkpoint: Path) -> None:
    bench = Bench(tmp_path, checkpoint)
    bench.run(catalogue(20))
    for attribute in TAXONOMY.attributes:
        table = bench.index.dataset(class_table(attribute.name), bench.generation.name)
        for fragment in table.get_fragments():
            classes = [c for c in fragment.to_table(columns=["class"])["class"].to_pylist() if c]
            assert classes == sorted(classes, key=attribute.classes.index)


def test_a_replaced_checkpoint_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    bench = Bench(tmp_path, checkpoint)
    other = write_checkpoint(tmp_path / "other", seed=1)
    with pytest.raises(CheckpointError, match="was replaced"):
        EncodeWorker(replace(bench.plan, checkpoint=str(other)))


@pytest.mark.parametrize(
    ("threads", "actors", "cores", "expected"),
    [(0, 1, 8, 8), (0, 3, 8, 2), (0, 9, 8, 1), (5, 3, 8, 5)],
)
def test_the_cores_are_divided_among_the_workers(
    tmp_path: Path,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    actors: int,
    cores: int,
    expected: int,
) -> None:
    bench = Bench(tmp_path, checkpoint)
    before = torch.get_num_threads()
    monkeypatch.setattr("pipelines.ingest.encode.cores", lambda: cores)
    try:
        worker = EncodeWorker(replace(bench.plan, threads=threads, actors=actors))
        assert (torch.get_num_threads(), worker._threads._max_workers) == (expected, expected)
    finally:
        torch.set_num_threads(before)


def test_embeddings_are_lists_of_fixed_size_and_half_precision(tmp_path: Path, checkpoint: Path) -> None:
    bench = Bench(tmp_path, checkpoint)
    bench.run(catalogue(2))
    for name in TAXONOMY.names:
        schema = bench.index.dataset(class_table(name), bench.generation.name).schema
        assert schema.field("embedding").type == pa.list_(pa.float16(), 256)
    rows = bench.index.dataset(class_table(name), bench.generation.name).to_table(filter=LIVE)
    lengths = np.linalg.norm(np.asarray(rows["embedding"].to_pylist(), np.float32), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-2)
