"""Triplet accuracy: how often an anchor is nearer to its positive than to its negative (design 3)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.encoder import asked

from .embedded import Embedded
from .metrics import Counts, Floats, triplet_accuracy
from .scores import Scores
from .text_table import read_text_table

COLUMNS = ("attribute", "anchor", "positive", "negative")
_CHUNK = 16_000_000  # numbers of the vectors compared at once, of each role


@dataclass(frozen=True)
class Answers:
    """The T triplets of one attribute.

    Attributes:
        scores: of each, as a query of its anchor for one of two candidates: ``accuracy`` is 1 or 0.
        others: T×2 positions of the positive and the negative.
    """

    scores: Scores
    others: Counts

    @property
    def accuracy(self) -> float:
        """The share of right ones."""
        return float(self.scores.values["accuracy"].mean())


@dataclass(frozen=True)
class TripletAccuracy:
    """Shares of triplets with s(anchor, positive) > s(anchor, negative), strictly; chance gives 1/2.

    Attributes:
        attributes: by name, in the taxonomy's order; those without a triplet are left out.
        unknown_items: triplets left out because an item of theirs is not among those embedded.
        unknown_attributes: triplets left out because the encoder lacks their attribute.
    """

    attributes: Mapping[str, Answers]
    unknown_items: int
    unknown_attributes: int

    def __len__(self) -> int:
        return sum(len(part.scores) for part in self.attributes.values())

    @property
    def overall(self) -> float:
        """Accuracy over all triplets; NaN without any."""
        parts = [part.scores.values["accuracy"] for part in self.attributes.values()]
        return float(np.concatenate(parts).mean()) if parts else float("nan")


def read_triplets(path: Path, split: str | None = None) -> pa.Table:
    """Triplets of a Parquet file: text columns attribute, anchor, positive, negative (item ids).

    Args:
        path: of the file; it may also have a column ``split``.
        split: only its rows, where the file has that column; None = all.

    Raises:
        ManifestError: see `read_text_table`.
    """
    table = read_text_table(path, "a table of triplets", COLUMNS, ["split"])
    if split is not None and "split" in table.schema.names:
        table = table.filter(pc.equal(table["split"], split))
    return table.select(COLUMNS)


def evaluate_triplets(embedded: Embedded, triplets: pa.Table) -> TripletAccuracy:
    """Compare attribute embeddings of each triplet's attribute by cosine.

    Args:
        embedded: N items.
        triplets: see `read_triplets`.
    """
    names, ids = pa.array(embedded.taxonomy.names), pa.array(embedded.item_ids, pa.string())
    attribute = _places(triplets["attribute"], names)
    items = np.stack([_places(triplets[role], ids) for role in COLUMNS[1:]])
    foreign, absent = attribute < 0, (items < 0).any(0)
    used = ~foreign & ~absent
    attribute, (anchor, positive, negative) = attribute[used], items[:, used]
    near, far = (_similarity(embedded, attribute, anchor, other) for other in (positive, negative))
    parts = {}
    for n, name in enumerate(embedded.taxonomy.names):
        own = attribute == n
        if own.any():
            scores = _scores(anchor[own], triplet_accuracy(near[own], far[own]))
            parts[name] = Answers(scores, np.stack([positive[own], negative[own]], 1))
    return TripletAccuracy(parts, int((absent & ~foreign).sum()), int(foreign.sum()))


def _scores(anchor: Counts, right: Floats) -> Scores:
    count = len(anchor)
    return Scores(
        item=anchor,
        class_index=np.full(count, -1, np.int64),
        gallery=np.full(count, 2, np.int64),
        relevant=np.ones(count, np.int64),
        values={"accuracy": right},
        chance={"accuracy": np.full(count, 0.5)},
        ceiling={},
    )


def draw_triplets(embedded: Embedded, count: int, seed: int = 0) -> pa.Table:
    """Triplets from labels, for sets that have none: value-balanced (design 2 §6, ASEN++).

    Of each attribute two distinct classes are drawn, each pair of them as likely as any other, then two items of the
    one as anchor and positive, and an item of the other that does not carry the one as negative. Pairs for which there
    are no such items are never drawn; an attribute that has no pair gets no triplet.

    Args:
        embedded: its labels.
        count: triplets of each attribute.
        seed: the same seed and labelled items, in whatever order, draw the same triplets of an attribute.
    """
    columns: dict[str, list[str]] = {name: [] for name in COLUMNS}
    order = np.argsort(np.asarray(embedded.item_ids, dtype=object))
    ids = [embedded.item_ids[item] for item in order.tolist()]
    for n, (name, attribute) in enumerate(zip(embedded.taxonomy.names, embedded.taxonomy.attributes, strict=True)):
        generator = np.random.default_rng((seed, zlib.crc32(name.encode())))
        by_name = embedded.taxonomy.offsets[n] + np.argsort(np.asarray(attribute.classes, dtype=object))
        carried = embedded.carried[order][:, by_name]
        own = carried.astype(np.float32)
        negatives = own.T @ (1 - own)  # M×M: items of the row's class that do not carry the column's
        pairs = np.argwhere((negatives.T > 0) & (carried.sum(0) > 1)[:, None])
        members = [np.flatnonzero(column) for column in carried.T]
        for one, other in pairs[generator.integers(0, len(pairs), count)] if len(pairs) else ():
            mine, theirs = members[one], members[other]
            theirs = theirs[~carried[theirs, one]]
            first, second = int(generator.integers(len(mine))), int(generator.integers(len(mine) - 1))
            second += second >= first
            chosen = mine[first], mine[second], theirs[generator.integers(len(theirs))]
            columns["attribute"].append(name)
            for role, item in zip(COLUMNS[1:], chosen, strict=True):
                columns[role].append(ids[item])
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _places(values: pa.ChunkedArray, known: pa.Array) -> Counts:
    """The place of each value among those known; −1 = it is not there."""
    return np.asarray(pc.fill_null(pc.index_in(values, value_set=known), -1).to_numpy(), np.int64)


def _similarity(embedded: Embedded, attribute: Counts, left: Counts, right: Counts) -> Floats:
    """Similarities of T queries (left) with an item each, in its attribute's space."""
    vectors = embedded.attribute_embeddings
    result = np.empty(len(attribute), np.float64)
    step = max(1, _CHUNK // max(1, vectors.shape[-1]))
    for start in range(0, len(attribute), step):
        part = slice(start, start + step)
        here = attribute[part]
        queries = asked(vectors[left[part], here], embedded.slack)
        result[part] = np.einsum("td,td->t", queries, vectors[right[part], here])
    return result
