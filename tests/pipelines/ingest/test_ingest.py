from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from model.checkpoint import load_checkpoint
from pipelines.errors import CheckpointError, ManifestError, StoreError
from pipelines.index.__main__ import main as switch
from pipelines.index.lease import Lease
from pipelines.index.naming import DEAD_LETTERS
from pipelines.index.receipt import Receipt
from pipelines.index.schema import LIVE
from pipelines.index.store import Index
from pipelines.ingest import driver
from pipelines.ingest.__main__ import main
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.report import Report
from pipelines.ingest.settings import IngestSettings
from pipelines.ingest.summary import IngestSummary

from .support import TAXONOMY, Entry, Oracle, catalogue, picture, write_checkpoint, write_manifest

pytestmark = pytest.mark.usefixtures("ray_session")


def ingest(index: Path, checkpoint: Path | None, *manifests: str, **settings: object) -> IngestSummary:
    options = {"chunk": 16, "batch": 8, "threads": 1, "inline_rows": 0, **settings}
    return run_ingest(
        IngestSettings(
            manifest=list(manifests),
            index=str(index),
            checkpoint=None if checkpoint is None else str(checkpoint),
            **options,  # type: ignore[arg-type]
        )
    )


def fingerprint(folder: Path) -> dict[str, str]:
    """All files below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_life_of_a_catalogue(
    tmp_path: Path, checkpoint: Path, oracle: Oracle, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = tmp_path / "index"
    entries = catalogue(40)
    bad = {"bad": Entry(1, broken=True)}
    one = write_manifest(tmp_path / "one.parquet", {**dict(list(entries.items())[:25]), **bad})
    two = write_manifest(tmp_path / "two.parquet", {**dict(list(entries.items())[20:])})

    dry = ingest(uri, checkpoint, one, two, dry_run=True)
    assert (dry.new, dry.superseded, dry.dry_run) == (41, 5, True)
    assert not uri.exists()

    done = ingest(uri, checkpoint, one, two, commit_vectors=60, publish_commits=1)
    assert (done.new, done.changed, done.unchanged, done.refused, done.superseded) == (40, 0, 0, 1, 5)
    assert done.refusals == {"TRUNCATED": 1}
    oracle.check(Index.open(uri), entries)
    snapshots = Index.open(uri).snapshots()
    assert len(snapshots) > 1, "it publishes on its way"
    assert done.snapshot_id == snapshots[-1].snapshot_id
    counts = [snapshot.items for snapshot in snapshots]
    assert counts == sorted(counts) and counts[-1] == 40
    assert Path(snapshots[-1].checkpoint_uri) == checkpoint
    assert [snapshot.fresh_at is None for snapshot in snapshots] == [True] * (len(snapshots) - 1) + [False]

    changed = entries | {
        "item '1'": Entry(90, ("dots",), 1),
        "item '2'": Entry(2, ("tribal",), -5),
        "added": Entry(91),
    }
    three = write_manifest(tmp_path / "three.parquet", changed)
    before = fingerprint(uri)
    dry = ingest(uri, checkpoint, three, dry_run=True)
    assert (dry.new, dry.changed, dry.relabelled, dry.unchanged) == (1, 1, 1, 38)
    assert fingerprint(uri) == before
    done = ingest(uri, checkpoint, three)
    assert (done.new, done.changed, done.relabelled, done.unchanged, done.refused) == (1, 1, 1, 38, 0)
    oracle.check(Index.open(uri), changed)

    # Bad pictures that are the same ones: nothing is tried, committed or published.
    four = write_manifest(tmp_path / "four.parquet", changed | bad)
    before = fingerprint(uri)
    done = ingest(uri, checkpoint, four)
    assert (done.unchanged, done.refused, done.unchanged_refused) == (41, 0, 1)
    assert {k: v for k, v in fingerprint(uri).items() if "lease" not in k} == {
        k: v for k, v in before.items() if "lease" not in k
    }
    assert done.snapshot_id == Index.open(uri).snapshots()[-1].snapshot_id

    # The same once more, by the command: nothing is encoded, nothing is published.
    arguments = ["--manifest", three, "--checkpoint", str(checkpoint), "--index", str(uri), "--inline-rows", "0"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "unchanged items" in told and done.snapshot_id is not None and done.snapshot_id in told
    assert Index.open(uri).snapshots()[-1].snapshot_id == done.snapshot_id

    gone_ids = ["item '3'", "never there", "added", "bad"]
    gone = write_manifest(tmp_path / "gone.parquet", {item_id: Entry() for item_id in gone_ids})
    dry = ingest(uri, None, gone, delete=True, dry_run=True)
    assert (dry.deleted, dry.absent) == (2, 2)
    oracle.check(Index.open(uri), changed)
    done = ingest(uri, None, gone, delete=True)
    assert (done.deleted, done.absent) == (2, 2)
    del changed["item '3'"], changed["added"]
    oracle.check(Index.open(uri), changed)
    latest = Index.open(uri).latest()
    assert latest is not None and latest.counts[DEAD_LETTERS] == 0, "also of what was never indexed"


@pytest.mark.parametrize("labelled", [True, False], ids=["labels", "no-labels"])
def test_a_csv_is_indexed_with_its_labels(tmp_path: Path, checkpoint: Path, labelled: bool) -> None:
    """Its labels are text, which training and evaluation read as labels, too."""
    collar, pattern = TAXONOMY.names
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(picture(number))
    cells = ["round|v-neck", "round", ""] if labelled else []
    lines = [f"i{n},{n}.jpg,{n}" + (f",{cells[n]}" if cells else "") for n in range(3)]
    path = tmp_path / "m.csv"
    path.write_text("\n".join(["item_id,image_uri,price" + (f",{collar}" if cells else ""), *lines]))
    uri = tmp_path / "index"
    done = ingest(uri, checkpoint, str(path), roots=[str(tmp_path)])
    assert (done.new, done.ignored_attributes) == (3, ())
    latest = Index.open(uri).latest()
    assert latest is not None
    items = {row["item_id"]: row for row in Index.open(uri).reader(latest).items().to_pylist()}
    expected = [["round", "v-neck"], ["round"], []] if labelled else [[]] * 3
    assert [items[f"i{n}"]["labels"] for n in range(3)] == [{collar: classes, pattern: []} for classes in expected]
    assert [items[f"i{n}"]["metadata"] for n in range(3)] == [{"price": n} for n in range(3)]
    again = ingest(uri, checkpoint, str(path), roots=[str(tmp_path)], dry_run=True)
    assert again.unchanged == 3
    path.write_text(path.read_text().replace("price", "price,season").replace(".jpg,", ".jpg,7,"))
    dry = ingest(uri, checkpoint, str(path), roots=[str(tmp_path)], dry_run=True)  # with a column that is new
    assert (dry.relabelled, dry.new) == (3, 0)


def test_text_stays_text_whatever_an_increment_looks_like(tmp_path: Path, checkpoint: Path) -> None:
    """And a column without a value in the first manifest gets its type from the first one that has some."""
    (tmp_path / "0.jpg").write_bytes(picture(0))
    uri, path = tmp_path / "index", tmp_path / "m.csv"
    found = []
    for cells in ("rev B,", "1.10,2.5", "True,3"):
        path.write_text(f"item_id,image_uri,version,sale\na,0.jpg,{cells}\n")
        ingest(uri, checkpoint, str(path), roots=[str(tmp_path)], inline_rows=9)
        latest = Index.open(uri).latest()
        assert latest is not None
        found.append(Index.open(uri).reader(latest).items().to_pylist()[0]["metadata"])
    assert found == [{"version": "rev B"}, {"version": "1.10", "sale": 2.5}, {"version": "True", "sale": 3.0}]


def test_more_gpus_than_there_are_is_told_at_once(tmp_path: Path, checkpoint: Path) -> None:
    path = write_manifest(tmp_path / "m.parquet", catalogue(3))
    with pytest.raises(ClusterError, match=r"2 workers with 0.6 of a GPU each need 2 GPUs; this Ray has 0"):
        ingest(tmp_path / "index", checkpoint, path, gpus=0.6, actors=2)


@pytest.mark.parametrize(
    ("report", "error", "told"),
    [
        (
            Report(seen=2, actions=Counter(unchanged=2)),
            StoreError,
            "2 of the manifest's 3 rows were read: a file changed",
        ),
        (Report(seen=3, actions=Counter(new=2)), AssertionError, "3 rows were read, and became 2 items"),
    ],
    ids=["fewer-rows", "lost-items"],
)
def test_rows_that_are_missing_and_items_that_are_lost_are_told_apart(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, report: Report, error: type[Exception], told: str
) -> None:
    """The former is the user's to mend, the latter is our fault; neither is published."""
    path = write_manifest(tmp_path / "m.parquet", catalogue(3))
    monkeypatch.setattr(driver, "stream_receipts", lambda *_, **__: iter([(Receipt(1), report)]))
    with pytest.raises(error, match=told):
        ingest(tmp_path / "index", checkpoint, path)
    assert Index.open(tmp_path / "index").latest() is None


def test_stages_of_their_own_and_several_actors_give_the_same(tmp_path: Path, checkpoint: Path, oracle: Oracle) -> None:
    entries = catalogue(50) | {"bad": Entry(1, broken=True)}
    path = write_manifest(tmp_path / "m.parquet", entries)
    done = ingest(tmp_path / "index", checkpoint, path, actors=2, separate_decode=True, chunk=5)
    assert (done.new, done.refused) == (50, 1)
    oracle.check(Index.open(tmp_path / "index"), catalogue(50))


def test_what_a_worker_meets_and_the_user_can_mend_is_the_users_error(tmp_path: Path, checkpoint: Path) -> None:
    path = write_manifest(tmp_path / "m.parquet", catalogue(3))
    ingest(tmp_path / "index", checkpoint, path)
    (tmp_path / "x.csv").write_text("item_id,image_uri,price\na,a.jpg,cheap\n")
    with pytest.raises(ManifestError, match="'price' is int64 in the index and string in the manifest"):
        ingest(tmp_path / "index", checkpoint, str(tmp_path / "x.csv"), roots=[str(tmp_path)])


def test_a_second_writer_is_refused(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = Index.create(tmp_path / "index")
    path = write_manifest(tmp_path / "m.parquet", catalogue(3))
    with Lease(index.uri):
        with pytest.raises(StoreError, match="is being written by process"):
            ingest(tmp_path / "index", checkpoint, path)
        with pytest.raises(SystemExit) as left:
            main(["--manifest", path, "--checkpoint", str(checkpoint), "--index", index.uri])
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_a_second_encoder_is_switched_to_when_it_is_whole(tmp_path: Path, checkpoint: Path) -> None:
    path = write_manifest(tmp_path / "m.parquet", catalogue(30))
    ingest(tmp_path / "index", checkpoint, path)
    other = write_checkpoint(tmp_path / "other", seed=1)
    with pytest.raises(StoreError, match=r"made with another encoder.* --generation new"):
        ingest(tmp_path / "index", other, path)
    new = ingest(tmp_path / "index", other, path, generation="new", commit_vectors=1, publish_commits=1, chunk=5)
    assert (new.new, new.snapshot_id, len(Index.open(tmp_path / "index").snapshots())) == (30, None, 1)
    # Until the switch both get what comes.
    more = write_manifest(tmp_path / "more.parquet", catalogue(2, 30))
    both = ingest(tmp_path / "index", None, more)
    assert (both.new, [each.new for each in both.beside]) == (2, [2])
    assert both.snapshot_id is not None and both.beside[0].generation == new.generation
    ingest(tmp_path / "index", None, more, delete=True)
    assert switch(["publish", new.generation, "--index", str(tmp_path / "index")]) == 0
    first, *_, second = Index.open(tmp_path / "index").snapshots()
    assert (first.items, second.items) == (30, 30), "no half of the new generation was published"
    assert first.generation != second.generation
    Oracle.of(other).check(Index.open(tmp_path / "index"), catalogue(30))
    gone = write_manifest(tmp_path / "gone.parquet", {"item '3'": Entry()})
    done = ingest(tmp_path / "index", None, gone, delete=True)
    assert done.deleted == 1
    index = Index.open(tmp_path / "index")
    for generation in index.generations():  # also in the one that is not published
        ids = index.dataset("items", generation.name).to_table(columns=["item_id"])["item_id"].to_pylist()
        assert "item '3'" not in ids and "item '4'" in ids
    latest = index.latest()
    assert latest is not None and (latest.generation, latest.items) == (second.generation, 29)


@pytest.mark.slow
def test_of_two_generations_that_nobody_published_the_first_is_served(tmp_path: Path, checkpoint: Path) -> None:
    index, other = Index.create(tmp_path / "index"), write_checkpoint(tmp_path / "other", seed=1)
    with Lease(index.uri):
        made = [index.create_generation(load_checkpoint(str(one)), str(one)).name for one in (checkpoint, other)]
    path = write_manifest(tmp_path / "m.parquet", catalogue(12))
    done = ingest(tmp_path / "index", None, path, chunk=3, commit_vectors=1, publish_commits=1)
    assert [each.snapshot_id for each in done.beside] == [None]
    assert {snapshot.generation for snapshot in index.snapshots()} == {done.generation} < set(made)


@pytest.mark.slow
def test_a_checkpoint_that_was_moved_is_named_once(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "here", seed=3)
    ingest(tmp_path / "index", checkpoint, write_manifest(tmp_path / "m.parquet", catalogue(4)))
    more = write_manifest(tmp_path / "more.parquet", catalogue(2, 4))
    moved = checkpoint.rename(tmp_path / "there")
    with pytest.raises(CheckpointError, match=r"cannot be brought up to date: .*here.* name it with --checkpoint"):
        ingest(tmp_path / "index", None, more)
    assert ingest(tmp_path / "index", moved, more).new == 2
    assert ingest(tmp_path / "index", None, write_manifest(tmp_path / "new.parquet", catalogue(1, 6))).new == 1


@pytest.mark.slow
def test_an_encoder_that_was_trained_anew_in_its_place(tmp_path: Path, checkpoint: Path) -> None:
    path = write_manifest(tmp_path / "m.parquet", catalogue(4))
    ingest(tmp_path / "index", checkpoint, path)
    other = write_checkpoint(tmp_path / "other", seed=1)
    begun = ingest(tmp_path / "index", other, path, generation="new").generation
    write_checkpoint(other, seed=2)
    with pytest.raises(StoreError, match=rf"than when generation {begun} was begun.*`duet snapshots retire {begun}`"):
        ingest(tmp_path / "index", other, path, generation="new")
    with pytest.raises(CheckpointError, match=rf"holds another encoder.* duet snapshots retire {begun}"):
        ingest(tmp_path / "index", None, path)
    assert switch(["retire", begun, "--index", str(tmp_path / "index")]) == 0
    assert ingest(tmp_path / "index", other, path, generation="new").generation != begun


@pytest.mark.slow
def test_too_many_refusals_stop_the_run_before_it_publishes(tmp_path: Path, checkpoint: Path) -> None:
    good = catalogue(20)
    bad = {f"bad {n}": Entry(n, broken=True) for n in range(22)}
    path = write_manifest(tmp_path / "m.parquet", good | bad)
    with pytest.raises(StoreError, match=r"22 of 42 items were refused \(TRUNCATED 22\), and --max-failures is 0.1"):
        ingest(tmp_path / "index", checkpoint, path)
    assert Index.open(tmp_path / "index").latest() is None
    done = ingest(tmp_path / "index", checkpoint, path, max_failures=0.9)
    assert (done.new, done.refused) == (20, 22)
    again = ingest(tmp_path / "index", checkpoint, path)
    assert (again.unchanged, again.unchanged_refused, again.refused) == (20, 22, 0)
    again = ingest(tmp_path / "index", checkpoint, path, retry_dead_letters=True, max_failures=1)
    assert (again.unchanged, again.unchanged_refused, again.refused) == (20, 0, 22)
    index = Index.open(tmp_path / "index")
    (generation,) = index.generations()
    letters = index.dataset(DEAD_LETTERS, generation.name).to_table(filter=LIVE).to_pylist()
    assert Counter(letter["attempt"] for letter in letters) == {1: 22, 2: 22}
    # A price in each of many, and some pictures that are gone: those that were read and stay count as well.
    good = catalogue(300)
    ingest(tmp_path / "index", checkpoint, write_manifest(tmp_path / "m.parquet", good))
    dearer = {item_id: replace(entry, price=-9) for item_id, entry in good.items()}
    more = {f"new bad {n}": Entry(n + 50, broken=True) for n in range(22)}
    done = ingest(tmp_path / "index", checkpoint, write_manifest(tmp_path / "m.parquet", dearer | more))
    assert (done.relabelled, done.refused) == (300, 22)
