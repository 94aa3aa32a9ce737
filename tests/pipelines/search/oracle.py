"""The slow oracle: one item after the other, plain Python floats, straight from the request and the design's text.

It shares nothing with the engine but the request's dataclasses and the trained modules.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from model.duet import encode
from model.encoder import ClassPairs
from model.manipulation import Change, Operation
from pipelines.search.filters import AllOf, AnyOf, Comparison, Filter, Membership, Negated
from pipelines.search.request import Match, SearchRequest

from .world import TAXONOMY, World


@dataclass(frozen=True)
class Expected:
    item_id: str
    tier: int
    score: float
    matched: dict[str, set[str]]


def answer(world: World, request: SearchRequest) -> list[Expected]:
    """The whole ranking."""
    query = _Query(world, request)
    expected, keys = [], {}
    for i, item_id in enumerate(world.ids):
        if item_id == request.item_id or not _passes(world, i, request):
            continue
        tier, primary, secondary, matched = query.rate(i)
        expected.append(Expected(item_id, tier, primary, matched))
        keys[item_id] = (-tier, -primary, -secondary, item_id)
    return sorted(expected, key=lambda one: keys[one.item_id])


def best_of_each(world: World, ranking: list[Expected], column: str) -> list[Expected]:
    """Of the items that share a value the first."""
    result: dict[object, Expected] = {}
    for one in ranking:
        value = world.metadata[world.ids.index(one.item_id)][column]
        result.setdefault(("none", one.item_id) if value is None else value, one)
    return list(result.values())


def _passes(world: World, i: int, request: SearchRequest) -> bool:
    for condition in request.attributes:
        for name in condition.excluded_classes:
            if world.carried[i, TAXONOMY.class_index(condition.attribute, name)]:
                return False
    return request.filter is None or truth(request.filter, world.metadata[i]) is True


class _Query:
    def __init__(self, world: World, request: SearchRequest) -> None:
        self.world, self.request = world, request
        self.own: dict[int, np.ndarray] = {}
        self.carried = np.zeros(TAXONOMY.class_count, bool)
        self.vectors: list[np.ndarray | None] = [None] * len(TAXONOMY.names)
        self.merged: np.ndarray | None = None
        self.changed: set[int] = set()
        if request.image is not None:
            self._from_image(request.image)
        elif request.item_id is not None:
            self._from_item(world.ids.index(request.item_id))
        else:
            self._from_prototypes()
        if request.manipulations:
            self._manipulate()

    def _from_image(self, data: bytes) -> None:
        encoder = self.world.checkpoint.encoder
        pixels = np.array(Image.open(BytesIO(data)))
        images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        duet = encode(encoder, images)
        self.vectors = list(duet.attribute_embeddings[0].numpy())
        self.carried[duet.pairs.class_index.numpy()] = True
        asked = [TAXONOMY.class_index(c.attribute, m) for c in self.request.attributes for m in c.classes]
        indices = sorted({*asked, *np.flatnonzero(self.carried).tolist()})
        if encoder.has_classes:
            pairs = ClassPairs(torch.zeros(len(indices), dtype=torch.long), torch.tensor(indices))
            with torch.inference_mode():
                vectors = F.normalize(encoder.classes(encoder.attributes(images), pairs), dim=-1).numpy()
            self.own = dict(zip(indices, vectors, strict=True))

    def _from_item(self, i: int) -> None:
        self.vectors = list(self.world.attributes[i].astype(np.float32))
        self.carried = self.world.carried[i].copy()
        self.own = {m: vector for (j, m), vector in self.world.classes.items() if j == i}

    def _from_prototypes(self) -> None:
        for condition in self.request.attributes:
            total = sum(
                self.world.prototypes[TAXONOMY.class_index(condition.attribute, m)].astype(np.float64)
                for m in condition.classes
            )
            if condition.classes:
                length = np.linalg.norm(total)
                vector = (total / length if length > 0 else total).astype(np.float32)
                self.vectors[TAXONOMY.position(condition.attribute)] = vector

    def _manipulate(self) -> None:
        changes = []
        before = self.carried.copy()
        for change in self.request.manipulations:
            n = TAXONOMY.position(change.attribute)
            self.changed.add(n)
            to = None if change.to_class is None else TAXONOMY.class_index(change.attribute, change.to_class)
            source = None if change.from_class is None else TAXONOMY.class_index(change.attribute, change.from_class)
            if not TAXONOMY.attributes[n].multi_label:
                source = None  # an item has one class of it, which goes, whichever it is
            changes.append(Change(n, change.operation, to, source))
            if change.operation is Operation.REPLACE and source is None:
                self.carried[TAXONOMY.span(n)] = False
            if source is not None:
                self.carried[source] = False
            if to is not None:
                self.carried[to] = True
        head = self.world.checkpoint.head
        assert head is not None
        with torch.no_grad():
            after = head.change(torch.from_numpy(np.stack(self.vectors)), torch.from_numpy(before), changes)
            self.merged = head(after[None])[0].numpy()
        self.vectors = list(after.numpy())

    def alike(self, n: int, i: int) -> float:
        vector = self.vectors[n]
        assert vector is not None
        told = len(vector) - self.world.checkpoint.encoder.slack
        return dot(vector[:told], self.world.attributes[i, n, :told])

    def rate(self, i: int) -> tuple[int, float, float, dict[str, set[str]]]:
        world, conditions = self.world, self.request.attributes
        given = self.request.image is not None or self.request.item_id is not None
        tier, weights, primaries, attributes = 0, [], [], []
        matched: dict[str, set[str]] = {}
        for condition in conditions:
            if not condition.classes and (condition.excluded_classes or not given):
                continue  # it only excludes
            n = TAXONOMY.position(condition.attribute)
            wanted = [TAXONOMY.class_index(condition.attribute, name) for name in condition.classes]
            if not wanted and (self.world.checkpoint.encoder.class_first or n in self.changed):
                wanted = [m for m in range(TAXONOMY.offsets[n], TAXONOMY.offsets[n + 1]) if self.carried[m]]
            has = [m for m in wanted if world.carried[i, m]]
            matched[condition.attribute] = {TAXONOMY.class_name(m)[1] for m in has}
            tier += len(has) if condition.match is Match.ALL else min(len(has), 1)
            attribute = self.alike(n, i)
            primary = attribute
            if has and world.view.class_width:
                by_class = [dot(self.own.get(m, world.class_prototypes[m]), world.classes[i, m]) for m in has]
                primary = sum(by_class) / len(by_class)
            weights.append(condition.weight)
            primaries.append(primary)
            attributes.append(attribute)
        first, second = 0.0, 0.0
        if weights:
            first = sum(w * s for w, s in zip(weights, primaries, strict=True)) / sum(weights)
            second = sum(w * s for w, s in zip(weights, attributes, strict=True)) / sum(weights)
        if self.merged is not None:
            first, second = dot(self.merged, world.merged[i]), first
        elif not weights:
            every = range(len(TAXONOMY.names))
            first = sum(self.alike(n, i) for n in every) / len(TAXONOMY.names)
        if not weights:
            told = self.changed or set(range(len(TAXONOMY.names)))
            for m in np.flatnonzero(self.carried & world.carried[i]):
                attribute_name, name = TAXONOMY.class_name(m)
                if TAXONOMY.position(attribute_name) in told:
                    matched.setdefault(attribute_name, set()).add(name)
        return tier, first, second, {name: classes for name, classes in matched.items() if classes}


def dot(left: Any, right: Any) -> float:
    """In double precision, then rounded to single: what a float32 product is nearest to."""
    total = sum(float(a) * float(b) for a, b in zip(left, right, strict=True))
    return float(np.float32(total))


def truth(node: Filter, row: dict[str, Any]) -> bool | None:
    """Three-valued logic, spelled out."""
    match node:
        case Comparison(column, operator, value):
            if row[column] is None:
                return None
            left, right = row[column], _like(row[column], value)
            return {
                "=": left == right,
                "!=": left != right,
                "<": left < right,
                "<=": left <= right,
                ">": left > right,
                ">=": left >= right,
            }[operator]
        case Membership(column, values):
            return None if row[column] is None else any(row[column] == _like(row[column], v) for v in values)
        case Negated(inner):
            result = truth(inner, row)
            return None if result is None else not result
        case AllOf(filters):
            results = [truth(part, row) for part in filters]
            return False if False in results else None if None in results else True
        case AnyOf(filters):
            results = [truth(part, row) for part in filters]
            return True if True in results else None if None in results else False


def _like(value: Any, other: Any) -> Any:
    """A filter's value as a person means it, beside a value of the column."""
    if isinstance(value, datetime):
        moment = datetime.fromisoformat(other) if isinstance(other, str) else other
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if isinstance(value, float):
        return float(np.float32(other))  # the column `weight` is float32
    return other
