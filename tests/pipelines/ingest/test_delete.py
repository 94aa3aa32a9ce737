from __future__ import annotations

from pathlib import Path

from pipelines.index.naming import ITEMS
from pipelines.index.schema import LIVE
from pipelines.index.store import Index
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings

from .support import Entry, catalogue, write_checkpoint, write_manifest


def test_generations_beside_the_served_one_stay_in_order(tmp_path: Path, checkpoint: Path) -> None:
    """Each deletion brings them a version, as everything does, and nothing else may come for long."""
    index, wanted = Index.create(tmp_path / "index"), catalogue(30)

    def run(manifest: str, **options: object) -> None:
        values = {"manifest": [manifest], "index": index.uri, "threads": 1, **options}
        run_ingest(IngestSettings.model_validate(values))

    path = write_manifest(tmp_path / "all.parquet", wanted)
    run(path, checkpoint=str(checkpoint))
    run(path, checkpoint=str(write_checkpoint(tmp_path / "other", seed=1)), generation="new")
    latest = index.latest()
    assert latest is not None
    (beside,) = (one for one in index.generations() if one.name != latest.generation)
    for item_id in list(wanted)[:12]:
        del wanted[item_id]
        run(write_manifest(tmp_path / "gone.parquet", {item_id: Entry()}), delete=True)
    for table in beside.committed_tables:
        dataset = index.dataset(table, beside.name)
        assert len(dataset.versions()) == 1
        kept = [fragment.count_rows() / fragment.physical_rows for fragment in dataset.get_fragments()]
        assert min(kept) > 0.8, "what is deleted is not carried along"
    ids = index.dataset(ITEMS, beside.name).to_table(columns=["item_id"], filter=LIVE)["item_id"].to_pylist()
    assert sorted(ids) == sorted(wanted)
