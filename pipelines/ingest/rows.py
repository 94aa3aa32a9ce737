"""Encoded items -> the rows of every table, as Arrow tables with Lance's own types.

Numpy arrays would become tensor columns on their way through Ray, which Lance can neither index nor search; so the
lists of fixed size are built here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.taxonomy import Taxonomy
from pipelines.index.naming import GLOBAL, attribute_table, class_table
from pipelines.index.schema import attribute_schema, class_schema, global_schema


@dataclass(frozen=True)
class Encoded:
    """The duets of N items, in memory.

    Args:
        attribute_embeddings: N×A×D.
        probabilities: N×ΣM.
        item: K positions 0..N−1 of the predicted pairs, ascending.
        class_index: K class indices of them, ascending within an item.
        class_embeddings: K×D'; None without a class level.
        global_embeddings: N×r; None without a global head.
    """

    attribute_embeddings: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    item: NDArray[np.int64]
    class_index: NDArray[np.int64]
    class_embeddings: NDArray[np.float32] | None
    global_embeddings: NDArray[np.float32] | None

    def finite(self) -> NDArray[np.bool_]:
        """N: whether all numbers of an item are finite."""
        bad = np.zeros(len(self.probabilities), np.bool_)
        bad |= ~np.isfinite(self.attribute_embeddings).all(axis=(1, 2)) | ~np.isfinite(self.probabilities).all(axis=1)
        if self.class_embeddings is not None:
            bad[self.item[~np.isfinite(self.class_embeddings).all(axis=1)]] = True
        if self.global_embeddings is not None:
            bad |= ~np.isfinite(self.global_embeddings).all(axis=1)
        return ~bad

    def take(self, keep: NDArray[np.bool_]) -> Encoded:
        """Only the items where `keep` (N) is true."""
        pairs = keep[self.item]
        position = np.cumsum(keep) - 1
        return Encoded(
            self.attribute_embeddings[keep],
            self.probabilities[keep],
            position[self.item[pairs]],
            self.class_index[pairs],
            None if self.class_embeddings is None else self.class_embeddings[pairs],
            None if self.global_embeddings is None else self.global_embeddings[keep],
        )

    @property
    def vectors(self) -> int:
        """How many embeddings these are."""
        count = self.attribute_embeddings.shape[0] * self.attribute_embeddings.shape[1]
        count += 0 if self.class_embeddings is None else len(self.class_embeddings)
        return count + (0 if self.global_embeddings is None else len(self.global_embeddings))


def join(parts: Sequence[Encoded]) -> Encoded:
    """Batches one after the other."""
    starts = np.cumsum([0, *(len(part.probabilities) for part in parts)])
    classes = [part.class_embeddings for part in parts if part.class_embeddings is not None]
    whole = [part.global_embeddings for part in parts if part.global_embeddings is not None]
    return Encoded(
        np.concatenate([part.attribute_embeddings for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.item + start for part, start in zip(parts, starts, strict=False)]),
        np.concatenate([part.class_index for part in parts]),
        np.concatenate(classes) if classes else None,
        np.concatenate(whole) if whole else None,
    )


def embedding_rows(encoded: Encoded, item_ids: Sequence[str], taxonomy: Taxonomy) -> dict[str, pa.Table]:
    """Table name -> rows, of all tables with embeddings."""
    ids = np.asarray(item_ids, dtype=object)
    width = encoded.attribute_embeddings.shape[2]
    attribute_of_class = np.asarray(taxonomy.attribute_of_class)
    names = np.asarray([name for attribute in taxonomy.attributes for name in attribute.classes], dtype=object)
    probability = encoded.probabilities[encoded.item, encoded.class_index]
    tables: dict[str, pa.Table] = {}
    for n, attribute in enumerate(taxonomy.names):
        chosen = np.flatnonzero(attribute_of_class[encoded.class_index] == n)
        item, classes = encoded.item[chosen], names[encoded.class_index[chosen]]
        counts = np.bincount(item, minlength=len(ids))
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
        tables[attribute_table(attribute)] = pa.table(
            [
                pa.array(ids, pa.string()),
                _vectors(encoded.attribute_embeddings[:, n]),
                pa.ListArray.from_arrays(offsets, pa.array(classes, pa.string())),
                pa.ListArray.from_arrays(offsets, pa.array(probability[chosen], pa.float32())),
            ],
            schema=attribute_schema(width),
        )
        if encoded.class_embeddings is not None:
            # In the order of classes: a scan of one class then reads what a table of its own would have.
            order = np.lexsort((item, encoded.class_index[chosen]))
            starts = np.cumsum(counts) - counts
            others = [
                [name for name in classes[starts[i] : starts[i] + counts[i]] if name != own]
                for i, own in zip(item[order], classes[order], strict=True)
            ]
            tables[class_table(attribute)] = pa.table(
                [
                    pa.array(classes[order], pa.string()),
                    pa.array(ids[item[order]], pa.string()),
                    _vectors(encoded.class_embeddings[chosen[order]]),
                    pa.array(probability[chosen[order]], pa.float32()),
                    pa.array(others, pa.list_(pa.string())),
                ],
                schema=class_schema(encoded.class_embeddings.shape[1]),
            )
    if encoded.global_embeddings is not None:
        columns = [pa.array(ids, pa.string()), _vectors(encoded.global_embeddings)]
        tables[GLOBAL] = pa.table(columns, schema=global_schema(encoded.global_embeddings.shape[1]))
    return tables


def _vectors(values: NDArray[np.float32]) -> pa.FixedSizeListArray:
    """N×D -> f16[D] of N rows."""
    flat = np.ascontiguousarray(values, dtype=np.float16).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float16()), values.shape[1])
