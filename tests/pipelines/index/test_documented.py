"""The ten lines of docs/index.md, run on an index that was really ingested."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings
from tests.pipelines.ingest.support import TAXONOMY, Oracle, catalogue, write_checkpoint, write_manifest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "index.md"


def test_the_query_of_the_page(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint")
    entries = catalogue(20)
    manifest, index = write_manifest(tmp_path / "items.parquet", entries), tmp_path / "index"
    run_ingest(IngestSettings(manifest=[manifest], index=str(index), checkpoint=str(checkpoint), threads=1))
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(code.strip().splitlines()) <= 12
    changes = {"/shared/index": str(index), "attribute-collar": "attribute-collar.20design", "dress-17": "item ''7''"}
    for before, after in changes.items():
        assert before in code
        code = code.replace(before, after)
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    oracle = Oracle.of(checkpoint)
    assert TAXONOMY.names[0] == "collar design"
    vectors = {item_id: oracle.embed(entry.look)["attributes"][0] for item_id, entry in entries.items()}
    products = {item_id: float(np.dot(vector, vectors["item '7'"])) for item_id, vector in vectors.items()}
    lines = [re.fullmatch(r"(item '\d+') (\[.*\]) ([\d.]+)", line) for line in printed.splitlines()]
    assert len(lines) == 5 and all(lines)
    found = {line[1]: float(line[3]) for line in lines if line}
    assert "item '7'" in found
    least = sorted(products.values())[-5]
    assert all(
        abs(products[item_id] - value) < 2e-3 and products[item_id] > least - 2e-3 for item_id, value in found.items()
    )
