"""Items as the catalogue has them, with what the encoder predicts of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .candidates import Candidates
from .reader import Reader
from .result import ClassProbability, Item


def describe_items(
    reader: Reader, candidates: Candidates, item_ids: Sequence[str], *, thumbnails: bool = True
) -> list[Item]:
    """Those of some items that the snapshot has, in the order of `item_ids`."""
    rows = reader.find_items(item_ids, ["labels", "thumbnail"] if thumbnails else ["labels"])
    return [
        _describe(candidates, item_id, rows[item_id]["labels"], rows[item_id].get("thumbnail"))
        for item_id in item_ids
        if item_id in rows
    ]


def _describe(
    candidates: Candidates, item_id: str, labels: dict[str, list[str] | None], thumbnail: bytes | None
) -> Item:
    taxonomy, position = candidates.taxonomy, candidates.ids.find(item_id)
    assert position is not None, item_id
    _, (image_uri,), (metadata,) = candidates.facts(np.array([position]))
    carried = {name: candidates.carried_by(n, position) for n, name in enumerate(taxonomy.names)}
    return Item(
        item_id=item_id,
        image_uri=image_uri,
        thumbnail=thumbnail or b"",
        metadata=metadata,
        labels={name: tuple(labels.get(name) or ()) for name in taxonomy.names},
        predictions={
            name: tuple(ClassProbability(taxonomy.class_name(m)[1], p) for m, p in classes.items())
            for name, classes in carried.items()
        },
    )
