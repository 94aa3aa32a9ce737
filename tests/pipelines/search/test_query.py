"""Vectors that nothing can be compared with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipelines.errors import ModelError
from pipelines.index.schema import prototypes_schema
from pipelines.search.query import ClassPrototypes, check_vectors

from .world import TAXONOMY, WIDTH

GOOD = np.eye(2, WIDTH, dtype=np.float32)


@pytest.mark.parametrize(
    ("vector", "fault"),
    [
        (GOOD * np.float32("nan"), "is not finite"),
        (np.full(WIDTH, np.inf, np.float32), "is not finite"),
        (GOOD[0] * 0, "is zero"),
        (GOOD * np.float32([[1], [0]]), "is zero"),  # one row of several
        (GOOD[:, 1:], "has 3 numbers, and the index' embeddings have 4"),
    ],
)
def test_what_nothing_can_be_compared_with(vector: np.ndarray, fault: str) -> None:
    with pytest.raises(ModelError, match=f"this {fault}"):
        check_vectors("this", GOOD[0], vector, width=WIDTH)
    check_vectors("this", GOOD, GOOD[0], width=WIDTH)


def test_prototypes_that_cancel_each_other_have_no_direction() -> None:
    rows = [
        {"attribute": "pattern", "class": name, "count": 1, "attribute_embedding": list(sign * GOOD[0])}
        for name, sign in (("print", 1), ("tribal", -1), ("floral", 1))
    ]
    known = ClassPrototypes(pa.Table.from_pylist(rows, schema=prototypes_schema(WIDTH, None)), TAXONOMY)
    one, opposite, other = (TAXONOMY.class_index("pattern", name) for name in ("print", "tribal", "floral"))
    assert known.attribute_vector([one, other]).tolist() == GOOD[0].tolist()
    with pytest.raises(ModelError, match="is zero"):
        known.attribute_vector([one, opposite])
