"""What is asked of a Ray of four logical CPUs on one node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import ClusterError
from pipelines.train.scaling import scaling
from pipelines.train.settings import TrainSettings

pytestmark = pytest.mark.usefixtures("ray_session")


def settings(**values: Any) -> TrainSettings:
    return TrainSettings(manifest=["m.parquet"], out=Path("out"), **values)


def test_threads_are_asked_for_and_otherwise_a_share() -> None:
    asked = scaling(settings(workers=2, threads=2))
    assert asked.num_workers == 2 and not asked.use_gpu and asked.resources_per_worker == {"CPU": 2}
    share = scaling(settings(workers=2)).resources_per_worker
    assert share is not None and 0 < share["CPU"] <= 0.2


def test_a_range_of_workers() -> None:
    assert scaling(settings(workers=4, min_workers=2, threads=2)).num_workers == (2, 4)
    assert scaling(settings(workers=4, min_workers=4, threads=1)).num_workers == 4
    with pytest.raises(ClusterError, match="--min-workers on CPUs needs --threads"):
        scaling(settings(workers=4, min_workers=2))
    with pytest.raises(ValueError, match=r"min_workers \(3\) is more than workers \(2\)"):
        settings(workers=2, min_workers=3)


def test_what_the_cluster_does_not_have_is_said_at_once() -> None:
    with pytest.raises(ClusterError, match="3 CPUs for each of 2 workers: lower --threads or --workers"):
        scaling(settings(workers=2, threads=3))
    with pytest.raises(ClusterError, match="a GPU for each of 2 workers"):
        scaling(settings(workers=3, min_workers=2, gpu="yes"))
