"""An index of items whose vectors are drawn, for benchmarks of searches: the same vectors lie in memory, for the peers.

`centres` draws vectors about 300 centres, which are as far from each other as random vectors of that width are. Whoever
finds the centre has found the few hundred items that the nearest are among: indices that look at a part of the vectors
look better on them than on pictures.

`manifold` draws a point in 48 dimensions, of which later ones count less, about one of a thousand centres of different
frequency and width, which overlap, and bends that into the width, with a little noise, as an encoder does with what a
picture shows. Then the cost of a search by an index follows from in how many directions the nearest lie, and not from
the width: Levina and Bickel's estimate at 100 neighbours is 21 for 100,000 items. It is 11.5 for the pixels of 23,828
product photographs (15 x 20, RGB), which are easier than embeddings of a trained encoder may be; there is none to
compare with here. faiss' HNSW32_SQ8 looks at 2,600 of 100,000 vectors for a recall of 0.97.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lance
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.duet import taxonomy_of
from benchmarks.writing import ledger_rows, write_ours
from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.encoder import EncoderConfig
from model.preparation import ImagePreparation
from model.prototypes import Prototypes
from model.systems.m3net import M3Net
from pipelines.index.committer import Committer
from pipelines.index.lease import Lease
from pipelines.index.naming import ITEMS, attribute_table
from pipelines.index.publish import publish
from pipelines.index.store import Index
from pipelines.ingest.rows import Encoded, embedding_rows
from pipelines.search.engine import Engine
from pipelines.search.matrices import MatrixCache

Vectors = NDArray[np.float32]
Positions = NDArray[np.int64]

BACKBONES = {256: "resnet18", 1024: "resnet50"}
CLASSES = 12
CACHE_BYTES = 16 * 1024**3
_BLOCK = 8192  # items that are drawn or written at once


class Centres:
    """Items about 300 centres, each of which is the same in every space."""

    def __init__(self, dice: np.random.Generator, items: int) -> None:
        self._dice, self.group = dice, dice.integers(0, 300, items)

    def vectors(self, items: Positions, width: int) -> Vectors:
        """Of these items, in a space of their own: N×width, L2-normalised."""
        vectors = self._dice.standard_normal((300, width), np.float32)[self.group[items]]
        vectors += self._dice.standard_normal(vectors.shape, np.float32)
        return stored(vectors)


class Manifold:
    """Items on a bent surface of few dimensions; another bend makes another space."""

    latent, centres, hidden = 48, 1000, 512

    def __init__(self, dice: np.random.Generator, items: int) -> None:
        self._dice = dice
        size = dice.lognormal(0, 1, self.centres)
        self.group = dice.choice(self.centres, items, p=size / size.sum())
        spectrum = np.arange(1, self.latent + 1) ** -0.5
        centre = dice.standard_normal((self.centres, self.latent))
        spread = dice.lognormal(0, 0.3, self.centres)
        points = centre[self.group] + spread[self.group, None] * dice.standard_normal((items, self.latent))
        points *= spectrum / np.sqrt((spectrum**2).sum())
        self._points = (points / points.std() / np.sqrt(self.latent)).astype(np.float32)

    def vectors(self, items: Positions, width: int) -> Vectors:
        """Of these items, in a space of their own: N×width, L2-normalised."""
        into = self._dice.normal(0, 1.5, (self.latent, self.hidden)).astype(np.float32)
        shift = self._dice.normal(0, 0.5, self.hidden).astype(np.float32)
        out = self._dice.normal(0, self.hidden**-0.5, (self.hidden, width)).astype(np.float32)
        vectors = np.empty((len(items), width), np.float32)
        for start in range(0, len(items), _BLOCK):
            part = slice(start, start + _BLOCK)
            vectors[part] = np.tanh(self._points[items[part]] @ into + shift) @ out
        vectors -= vectors.mean(0)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors += self._dice.standard_normal(vectors.shape, np.float32) * np.float32(0.1 / width**0.5)
        return stored(vectors)


DATA: dict[str, Callable[[np.random.Generator, int], Centres | Manifold]] = {"centres": Centres, "manifold": Manifold}


class Shop:
    """Items in a published index, and in memory.

    Each item carries the class of its centre, every fifth another one as well. There is one attribute, so that a search
    by an item alone is the plain search for the nearest.

    Args:
        items: how many.
        width: of all embeddings.
        folder: for index and checkpoint; must be empty.
        data: how vectors lie, a name of `DATA`.

    Attributes:
        ids: of the items.
        vectors: attribute embeddings, items×width.
        carried: items×classes bool.
        pair_item: of each class embedding.
        pair_class: of each class embedding.
        class_vectors: pairs×width.
        index: where the index lies.
        checkpoint: where the checkpoint lies.
        name: of the attribute.
        classes: their names.
        means: prototypes, the mean directions of each class' items.
        engine: of the index, with room for all embeddings.
        table: of the attribute, with Lance's own caches and not the index's smaller ones.
    """

    def __init__(self, items: int, width: int, folder: Path, data: str = "centres") -> None:
        dice = np.random.default_rng(0)
        drawn = DATA[data](dice, items)
        self.vectors = drawn.vectors(np.arange(items), width)
        self.carried = np.eye(CLASSES, dtype=bool)[drawn.group % CLASSES]
        more = dice.random(items) < 0.2
        self.carried[np.flatnonzero(more), dice.integers(0, CLASSES, int(more.sum()))] = True
        self.pair_item, self.pair_class = np.nonzero(self.carried)
        self.class_vectors = np.empty((len(self.pair_item), width), np.float32)
        for number in range(CLASSES):
            own = self.pair_class == number
            self.class_vectors[own] = drawn.vectors(self.pair_item[own], width)
        self.ids = [item_id(number) for number in range(items)]
        self.index, self.checkpoint = folder / "index", folder / "checkpoint"
        self.means = self._means()
        checkpoint = self._save(width)
        write_ours(self.index, checkpoint, [self._chunks(checkpoint)])
        index = Index.open(self.index)
        with Lease(index.uri) as lease:
            publish(Committer(index, index.generations()[0], lease))
        snapshot = index.latest()
        assert snapshot is not None
        self.name, self.classes = checkpoint.taxonomy.names[0], checkpoint.taxonomy.attributes[0].classes
        reader = index.reader(snapshot)
        self.engine = Engine(reader, checkpoint, cache=MatrixCache(CACHE_BYTES))
        table = reader.dataset(attribute_table(self.name))
        self.table = lance.dataset(table.uri, version=table.version)

    def _means(self) -> Prototypes:
        """The mean directions of each class' items."""
        attribute = np.stack([self.vectors[self.carried[:, m]].mean(0) for m in range(CLASSES)])
        own = np.stack([self.class_vectors[self.pair_class == m].mean(0) for m in range(CLASSES)])
        unit = [torch.nn.functional.normalize(torch.from_numpy(means), dim=1) for means in (attribute, own)]
        return Prototypes(unit[0], unit[1], torch.ones(CLASSES))

    def _save(self, width: int) -> Checkpoint:
        """An untrained encoder, for its taxonomy and its width."""
        torch.manual_seed(0)
        encoder = M3Net(EncoderConfig(backbone=BACKBONES[width]), taxonomy_of(1, CLASSES)).eval()
        save_checkpoint(self.checkpoint, encoder, ImagePreparation(32, 32), prototypes=self.means)
        return load_checkpoint(self.checkpoint)

    def _chunks(self, checkpoint: Checkpoint) -> list[dict[str, Any]]:
        chunks = []
        for start in range(0, len(self.ids), _BLOCK):
            part = slice(start, start + _BLOCK)
            inside = (self.pair_item >= start) & (self.pair_item < start + _BLOCK)
            encoded = Encoded(
                self.vectors[part, None],
                np.where(self.carried[part], np.float32(0.9), np.float32(0.1)),
                self.pair_item[inside] - start,
                self.pair_class[inside],
                self.class_vectors[inside],
                None,
            )
            ids = self.ids[part]
            rows = embedding_rows(encoded, ids, checkpoint.taxonomy)
            chunks.append({**rows, ITEMS: ledger_rows(ids, checkpoint.taxonomy)})
        return chunks


def item_id(number: int) -> str:
    return f"item-{number:09d}"


def stored(vectors: Vectors) -> Vectors:
    """L2-normalised, as exact as the index keeps them."""
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors.astype(np.float16).astype(np.float32)


def shop_options(description: str | None, items: int, data: str = "manifold") -> argparse.ArgumentParser:
    """Options of a benchmark that makes a shop, with these defaults; it adds its own."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=items)
    parser.add_argument("--width", type=int, choices=sorted(BACKBONES), default=1024)
    parser.add_argument("--data", choices=sorted(DATA), default=data, help="how vectors lie")
    parser.add_argument("--folder", help="where to write; default: the system's temporary folder")
    return parser
