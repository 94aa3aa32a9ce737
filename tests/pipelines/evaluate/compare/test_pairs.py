"""Co-occurring classes against loops over the items and the queries."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from pipelines.evaluate.compare.pairs import co_occurring
from pipelines.evaluate.compare.runs import join_seeds, load_run

from ..random_sets import TAXONOMY
from .made_runs import make_runs, system, write_run


@pytest.mark.parametrize("zero", ["keep", "skip"])
def test_pairs_and_their_figures(tmp_path: Path, zero: str) -> None:
    few = {"items": 14}  # so that some pairs are carried by one item alone
    runs = [
        load_run(write_run(tmp_path / key, system(seed, **few), name, retrieval={"zero": zero}))
        for seed, (key, name) in enumerate({"a": "m3net", "b": "asen", "c": "m3net"}.items())
    ]
    (found,) = co_occurring(join_seeds(runs, each=False))
    assert found.attribute == "print" and found.systems == ("m3net", "asen")
    embedded = system(0, **few)
    count = {}
    for row in embedded.carried:
        carried = [TAXONOMY.class_name(int(m)) for m in np.flatnonzero(row)]
        for pair in itertools.combinations([name for attribute, name in carried if attribute == "print"], 2):
            count[pair] = count.get(pair, 0) + 1
    least = 1 if zero == "keep" else 2
    assert min(count.values()) == 1
    assert set(found.pairs) == {pair for pair, number in count.items() if number >= least}
    assert found.together.tolist() == sorted((count[pair] - 1 for pair in found.pairs), reverse=True)
    tables = [[row for row in run.queries.to_pylist() if row["task"] == "multilabel"] for run in runs]
    for p, pair in enumerate(found.pairs):
        asking = [[row for row in table if row["set"] == list(pair)] for table in tables]
        assert found.together[p] == count[pair] - 1 and found.queries[p] == len(asking[0]) == count[pair]
        assert found.chance[p] == pytest.approx(np.mean([row["random MAP@all"] for row in asking[0]]))
        means = [np.mean([row["MAP@all"] for row in rows]) for rows in asking]
        assert found.mean[:, p] == pytest.approx([(means[0] + means[2]) / 2, means[1]])


def test_only_systems_that_were_asked(tmp_path: Path) -> None:
    bare = load_run(write_run(tmp_path / "bare", system(0), "bare", multilabel={"sizes": (9,)}))
    assert co_occurring(join_seeds([bare], each=False)) == []
    (found,) = co_occurring(join_seeds([bare, *make_runs(tmp_path, a="m3net")], each=False))
    assert found.systems == ("m3net",)


def test_sets_of_three_are_no_pairs(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "a", system(0), multilabel={"sizes": (3,)}))
    assert co_occurring(join_seeds([run], each=False)) == []
