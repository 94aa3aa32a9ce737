"""Items as a generation stores them: the float16 that searches compare, not what the encoder would say again."""

from __future__ import annotations

from collections.abc import Mapping

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from model.encoder import Encoder
from pipelines.errors import StoreError
from pipelines.index.generation import Generation
from pipelines.index.naming import attribute_table, class_table
from pipelines.index.schema import is_one_of

from ..embedded import Embedded
from .common import CommonItems


def read_embedded(
    datasets: Mapping[str, lance.LanceDataset], generation: Generation, encoder: Encoder, items: CommonItems
) -> Embedded:
    """The embeddings and predicted classes of some items, of the attributes and classes of `items.taxonomy`.

    The pairs are those that are predicted; labels have none of their own, since nobody was asked for them.

    Args:
        datasets: of the generation, of one commit.
        generation: that is read.
        encoder: its encoder, which knows how its embeddings are compared.
        items: N items that are in it.

    Raises:
        StoreError: an item is not there any more.
    """
    taxonomy, count = items.taxonomy, len(items)
    ids = pa.array(items.item_ids, pa.string())
    vectors = np.empty((count, len(taxonomy.attributes), generation.width), np.float32)
    probabilities = np.zeros((count, taxonomy.class_count), np.float32)
    predicted = np.zeros((count, taxonomy.class_count), bool)
    pairs, class_vectors = [], []
    for n, attribute in enumerate(taxonomy.attributes):
        classes, start = pa.array(attribute.classes, pa.string()), taxonomy.offsets[n]
        rows = datasets[attribute_table(attribute.name)].to_table(filter=is_one_of("item_id", items.item_ids))
        place = _places(rows["item_id"], ids)
        if len(place) != count:
            raise StoreError(f"generation {generation.name} has changed while it was read; run this again")
        vectors[place, n] = _matrix(rows["embedding"], generation.width)
        owner = place[pc.list_parent_indices(rows["classes"]).to_numpy()]
        index = _places(pc.list_flatten(rows["classes"]), classes)
        mine = index >= 0
        predicted[owner[mine], start + index[mine]] = True
        probabilities[owner[mine], start + index[mine]] = pc.list_flatten(rows["probabilities"]).to_numpy()[mine]
        if generation.class_width is not None:
            wanted = is_one_of("item_id", items.item_ids) & is_one_of("class", attribute.classes)
            rows = datasets[class_table(attribute.name)].to_table(filter=wanted)
            pairs.append(np.stack([_places(rows["item_id"], ids), start + _places(rows["class"], classes)], 1))
            class_vectors.append(_matrix(rows["embedding"], generation.class_width))
    if generation.class_width is None:
        ordered, embeddings = np.argwhere(predicted), None
    else:
        joined = np.concatenate(pairs)
        order = np.lexsort((joined[:, 1], joined[:, 0]))
        ordered, embeddings = joined[order], np.concatenate(class_vectors)[order]
    return Embedded(
        item_ids=items.item_ids,
        attribute_embeddings=vectors,
        probabilities=probabilities,
        predicted=predicted,
        pair_item=ordered[:, 0],
        pair_class=ordered[:, 1],
        class_embeddings=embeddings,
        carried=items.carried,
        known=items.known,
        taxonomy=taxonomy,
        class_first=encoder.class_first,
        slack=encoder.slack,
    )


def _places(values: pa.ChunkedArray, among: pa.Array) -> NDArray[np.int64]:
    """Where each value stands; −1 = nowhere."""
    found = pc.fill_null(pc.index_in(values, value_set=among), -1)
    return np.asarray(found.to_numpy(), np.int64)


def _matrix(column: pa.ChunkedArray, width: int) -> NDArray[np.float32]:
    flat = pc.list_flatten(column).to_numpy()
    return np.asarray(flat, np.float32).reshape(-1, width)
