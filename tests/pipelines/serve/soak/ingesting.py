"""A process that ingests manifests as `duet ingest` does, one after the other: it is killed and started again.

    python -m tests.pipelines.serve.soak.ingesting INDEX

A line of standard input is the JSON of a manifest's address and whether its items are deleted; a line of standard
output is the JSON of what became of it.
"""

from __future__ import annotations

import json
import sys

from pipelines.errors import BusyError
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings

_SETTINGS = {
    "threads": 1,
    "upkeep": {"fragments": 3},
    "retention": {"snapshots": 24, "minutes": 0, "batch": 2},
    "gate": {"max_loss": 1.0},
}


def main(index: str) -> None:
    """Do what standard input says."""
    for line in sys.stdin:
        manifest, delete = json.loads(line)
        try:
            summary = run_ingest(
                IngestSettings.model_validate({"manifest": [manifest], "index": index, "delete": delete, **_SETTINGS})
            )
        except BusyError:
            said: dict[str, object] = {"busy": True}
        else:
            said = {"busy": False, "snapshot": summary.snapshot_id}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
