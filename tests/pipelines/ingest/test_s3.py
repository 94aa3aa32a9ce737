"""Manifest, pictures and index on S3: the same code, and the same commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.index.store import Index
from pipelines.ingest.__main__ import main
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings
from pipelines.ingest.watch import watch
from tests.s3 import S3

from .support import TAXONOMY, Entry, Oracle, catalogue, write_manifest

pytestmark = pytest.mark.slow


def by_key(entries: dict[str, Entry], bucket: str) -> dict[str, bytes]:
    """A manifest that names pictures by their keys below a root, and the pictures."""
    lines, objects = [], {}
    for item_id, entry in entries.items():
        key = f"{entry.look % 3}/picture {entry.look}.jpg"
        objects[f"{bucket}/pictures/{key}"] = entry.image
        line = {"item_id": item_id, "image_uri": key, TAXONOMY.names[1]: list(entry.labels), "price": entry.price}
        lines.append(json.dumps(line, ensure_ascii=False))
    return {f"{bucket}/manifests/items.jsonl": "\n".join(lines).encode(), **objects}


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("workers", [True, False])
def test_a_catalogue_on_s3(s3: S3, checkpoint: Path, oracle: Oracle, workers: bool) -> None:
    bucket = f"catalogue-{'ray' if workers else 'inline'}"
    entries = catalogue(40)
    s3.put(by_key(entries, bucket))
    settings = IngestSettings(
        manifest=[f"s3://{bucket}/manifests/"],
        roots=[f"s3://{bucket}/pictures"],
        index=f"s3://{bucket}/index",
        checkpoint=str(checkpoint),
        chunk=8,
        batch=8,
        threads=1,
        commit_vectors=60,
        publish_commits=1,
        inline_rows=0 if workers else 512,
    )
    assert run_ingest(settings).new == 40
    oracle.check(Index.open(settings.index), entries)
    changed = {**entries, "item '3'": Entry(77, ("tribal",), 3), "more": Entry(78)}
    del changed["item '4'"]
    s3.put(by_key(changed, bucket))
    done = run_ingest(settings)
    assert (done.new, done.changed, done.unchanged) == (1, 1, 38)
    s3.put({f"{bucket}/gone.jsonl": json.dumps({"item_id": "item '4'"}).encode()})
    assert main(["--delete", "--manifest", f"s3://{bucket}/gone.jsonl", "--index", settings.index]) == 0
    oracle.check(Index.open(settings.index), changed)


def test_a_folder_on_s3_is_watched(s3: S3, tmp_path: Path, checkpoint: Path, oracle: Oracle) -> None:
    first, more = catalogue(8), {"item '1'": Entry(60), "late": Entry(61)}
    drops = {"1.parquet": first, "2.parquet": more, "3.delete.parquet": {"item '2'": Entry()}}
    for name, entries in drops.items():
        s3.put({f"watched/in/{name}": Path(write_manifest(tmp_path / name, entries)).read_bytes()})
    settings = IngestSettings(
        watch="s3://watched/in",
        index="s3://watched/index",
        checkpoint=str(checkpoint),
        poll_seconds=0.1,
        idle_seconds=0.5,
        threads=1,
    )
    said: list[str] = []
    watch(settings, said.append)
    wanted = {**first, **more}
    del wanted["item '2'"]
    oracle.check(Index.open("s3://watched/index"), wanted)
    s3.put({"watched/in/done/2.parquet": Path(tmp_path / "2.parquet").read_bytes()})
    watch(settings, said.append)
    assert len(Index.open("s3://watched/index").snapshots()) == 3, "each drop is taken in once, wherever it is moved to"
