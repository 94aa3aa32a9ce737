"""Whether an answer is right, by brute force over what plain Lance reads of the snapshot that it names."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Any

import lance
import numpy as np
import torch
from PIL import Image

from model.checkpoint import Checkpoint
from model.duet import encode
from model.manipulation import Operation
from pipelines.index.naming import GLOBAL, ITEMS, attribute_table, class_table
from pipelines.search.filters import Comparison, Operator
from pipelines.search.request import AttributeCondition, Manipulation, Match, SearchRequest
from pipelines.search.result import Hit
from tests.pipelines.search.oracle import answer
from tests.pipelines.search.world import TAXONOMY, View, World

NEAR = 1e-4  # scores that differ by less may come in either order
SIDE = 32


def look(version: int) -> bytes:
    """The picture of an item of this version: PNG of the encoder's own size, so nothing is scaled."""
    rng = np.random.default_rng(version)
    pixels = np.full((SIDE, SIDE, 3), 255, np.uint8)
    for _ in range(5):
        top, left = rng.integers(0, 22, 2)
        pixels[top : top + 12, left : left + 10] = rng.integers(0, 256, 3)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@dataclass(frozen=True)
class Table:
    """Where plain Lance finds a table of a snapshot."""

    uri: str
    version: int

    def rows(self, columns: Sequence[str]) -> list[dict[str, Any]]:
        rows = lance.dataset(self.uri, version=self.version).to_table(columns=list(columns)).to_pylist()
        return [row for row in rows if row["item_id"] >= " "]  # without the sentinel


def read_world(tables: Mapping[str, Table], checkpoint: Checkpoint, snapshot_id: str) -> World:
    """A snapshot as the oracle reads it. Raises `AssertionError` if its tables contradict each other."""
    items = {row["item_id"]: row for row in tables[ITEMS].rows(["item_id", "metadata"])}
    ids = sorted(items)
    place = {item_id: i for i, item_id in enumerate(ids)}
    carried = np.zeros((len(ids), TAXONOMY.class_count), bool)
    probabilities = np.zeros(carried.shape, np.float32)
    attributes = np.zeros((len(ids), len(TAXONOMY.names), checkpoint.encoder.width), np.float32)
    classes: dict[tuple[int, int], np.ndarray] = {}
    for n, name in enumerate(TAXONOMY.names):
        rows = tables[attribute_table(name)].rows(["item_id", "embedding", "classes", "probabilities"])
        assert sorted(row["item_id"] for row in rows) == ids, f"{snapshot_id}: {name} is of other items"
        for row in rows:
            i = place[row["item_id"]]
            attributes[i, n] = row["embedding"]
            for one, probability in zip(row["classes"], row["probabilities"], strict=True):
                carried[i, TAXONOMY.class_index(name, one)] = True
                probabilities[i, TAXONOMY.class_index(name, one)] = probability
        for row in tables[class_table(name)].rows(["class", "item_id", "embedding"]):
            pair = place[row["item_id"]], TAXONOMY.class_index(name, row["class"])
            assert pair not in classes, f"{snapshot_id}: {row['item_id']!r} is twice in class {row['class']!r}"
            classes[pair] = np.array(row["embedding"], np.float32)
    assert set(classes) == {(i, m) for i, m in np.argwhere(carried).tolist()}, f"{snapshot_id}: classes do not fit"
    merged = {row["item_id"]: row["embedding"] for row in tables[GLOBAL].rows(["item_id", "embedding"])}
    assert sorted(merged) == ids, f"{snapshot_id}: the global space is of other items"
    prototypes = checkpoint.prototypes
    assert prototypes is not None and prototypes.class_level is not None
    return World(
        ids=ids,
        attributes=attributes,
        carried=carried,
        probabilities=probabilities,
        classes=classes,
        merged=np.array([merged[item_id] for item_id in ids], np.float32),
        metadata=[items[item_id]["metadata"] for item_id in ids],
        prototypes=prototypes.attribute.numpy(),
        class_prototypes=prototypes.class_level.numpy(),
        checkpoint=checkpoint,
        view=View(snapshot_id, checkpoint.digest, TAXONOMY, checkpoint.encoder.width, None),
    )


class Looks:
    """Whether items have the embeddings of their own version's picture, each embedded alone."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint, self._known = checkpoint, dict[int, np.ndarray]()

    def check(self, world: World) -> None:
        """Raises `AssertionError` if one has not."""
        for i, item_id in enumerate(world.ids):
            version = world.metadata[i]["price"]
            if version not in self._known:
                pixels = np.array(Image.open(BytesIO(look(version))))
                duet = encode(self._checkpoint.encoder, torch.from_numpy(pixels).permute(2, 0, 1)[None])
                self._known[version] = duet.attribute_embeddings[0].numpy()
            difference = np.abs(world.attributes[i] - self._known[version]).max()
            assert difference < 2e-3, f"{world.view.snapshot_id}: {item_id!r} has not the embeddings of {version}"


def draw_request(dice: random.Random, world: World, ids: Sequence[str]) -> SearchRequest:
    """A request of any kind, whose values are near those of a snapshot; a query item is one of `ids`."""
    kind = dice.choice(("item", "item", "image", "prototypes"))
    conditions = []
    for attribute in dice.sample(TAXONOMY.attributes, dice.randint(1 if kind == "prototypes" else 0, 2)):
        count = dice.randint(1 if kind == "prototypes" else 0, 2)
        classes = tuple(dice.sample(attribute.classes, count))
        conditions.append(AttributeCondition(attribute.name, classes, dice.choice(list(Match))))
    changes: tuple[Manipulation, ...] = ()
    if kind != "prototypes" and dice.random() < 0.3:
        attribute = dice.choice(TAXONOMY.attributes)
        changes = (Manipulation(attribute.name, Operation.REPLACE, dice.choice(attribute.classes)),)
    prices = sorted(row["price"] for row in world.metadata)
    filter_ = Comparison("price", dice.choice(list(Operator)), dice.choice(prices)) if dice.random() < 0.3 else None
    return SearchRequest(
        image=look(dice.randrange(10**6)) if kind == "image" else None,
        item_id=dice.choice(ids) if kind == "item" else None,
        attributes=tuple(conditions),
        manipulations=changes,
        filter=filter_,
        page_size=dice.randint(1, 20),
        exact=dice.random() < 0.5,
    )


def fault(world: World, request: SearchRequest, hits: Sequence[Hit], total: int, asked: int) -> str | None:
    """What is wrong with the hits of a request, None if nothing is.

    Args:
        world: the snapshot that the answer names.
        request: the request.
        hits: of one page, or of several from the first one.
        total: candidates, as the answer says.
        asked: hits that all these pages may have.
    """
    where = f"{world.view.snapshot_id}, {request}"
    expected = {one.item_id: one for one in answer(world, request)}
    prices = {item_id: row["price"] for item_id, row in zip(world.ids, world.metadata, strict=True)}
    found = [hit.item_id for hit in hits]
    if total != len(expected) or len(found) != min(asked, total):
        return f"{where}: {len(found)} hits of {total} candidates, of which there are {len(expected)}"
    if len(set(found)) != len(found) or not expected.keys() >= set(found):
        return f"{where}: {found} are not all candidates, or not all different"
    for rank, hit in enumerate(hits, 1):
        one = expected[hit.item_id]
        if (hit.rank, hit.tier) != (rank, one.tier) or abs(hit.score - one.score) > NEAR:
            return f"{where}: {hit} should be {one}, at rank {rank}"
        if hit.metadata.get("price") != prices[hit.item_id]:
            return f"{where}: {hit} has another price than {prices[hit.item_id]}"
    keys = [(expected[item_id].tier, expected[item_id].score) for item_id in found]
    rest = [(one.tier, one.score) for item_id, one in expected.items() if item_id not in set(found)]
    for better, worse in [*pairwise(keys), *((keys[-1], other) for other in rest if keys)]:
        if worse[0] > better[0] or (worse[0] == better[0] and worse[1] > better[1] + NEAR):
            return f"{where}: an item of {worse} comes after one of {better}"
    return None
