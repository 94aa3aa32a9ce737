from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipelines.errors import ManifestError, StoreError
from pipelines.index.lease import Lease
from pipelines.index.store import Index
from pipelines.ingest.__main__ import main
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings
from pipelines.ingest.summary import IngestSummary

from .support import Entry, Oracle, catalogue, write_checkpoint, write_manifest

pytestmark = pytest.mark.usefixtures("ray_session")


def ingest(index: Path, checkpoint: Path | None, *manifests: str, **settings: object) -> IngestSummary:
    options = {"chunk": 16, "batch": 8, "threads": 1, **settings}
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

    # The same once more, by the command: nothing is encoded, nothing is published.
    arguments = ["--manifest", three, "--checkpoint", str(checkpoint), "--index", str(uri), "--chunk", "16"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "unchanged items" in told and done.snapshot_id is not None and done.snapshot_id in told
    assert Index.open(uri).snapshots()[-1].snapshot_id == done.snapshot_id

    gone = write_manifest(tmp_path / "gone.parquet", {"item '3'": Entry(), "never there": Entry(), "added": Entry()})
    dry = ingest(uri, None, gone, delete=True, dry_run=True)
    assert (dry.deleted, dry.absent) == (2, 1)
    oracle.check(Index.open(uri), changed)
    done = ingest(uri, None, gone, delete=True)
    assert (done.deleted, done.absent) == (2, 1)
    del changed["item '3'"], changed["added"]
    oracle.check(Index.open(uri), changed)


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
    ingest(tmp_path / "index", other, path, commit_vectors=1, publish_commits=1, chunk=5)
    first, second = Index.open(tmp_path / "index").snapshots()
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
