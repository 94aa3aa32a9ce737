"""Items of two classes at once, against what one would write with faiss.

    pip install --no-deps faiss-cpu
    python -m benchmarks.multilabel                    # 100,000 items of 1024 numbers: minutes on two cores

Asked is for items like one, of two classes of an attribute: those that carry both first, by the mean of their class
similarities, then those that carry one, then the rest by attribute similarity (`benchmarks.shop`: 280 of 100,000 carry
both). The peers have a faiss index of each class' embeddings, inverted lists, and one of the attribute's:

merging    searches both classes' indices, deeper and deeper until enough items are in both lists, or all are listed,
           and puts the lists together in Python: what needs nothing but the indices.
selecting  knows which items carry both, and has each index search among those only (`IDSelectorBatch`): what somebody
           writes who knows faiss well. For more places than such items it goes on as merging does.

Recall is of the places, by products in double precision. The claim: three times as fast as merging.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peers import peer
from benchmarks.shop import Shop, shop_options
from pipelines.search.request import AttributeCondition, SearchRequest

Ask = Callable[[int], list[int]]  # an item -> places
_WANTED = (0, 1)  # classes


def engine_asked(shop: Shop, hits: int) -> Ask:
    wanted = (AttributeCondition(shop.name, tuple(shop.classes[m] for m in _WANTED)),)

    def ask(item: int) -> list[int]:
        request = SearchRequest(item_id=shop.ids[item], attributes=wanted, page_size=hits)
        return [int(hit.item_id[5:]) for hit in shop.engine.search(request).hits]

    return ask


class Peer:
    """faiss indices of two classes and of the attribute."""

    def __init__(self, faiss: Any, shop: Shop, hits: int) -> None:
        self._faiss, self._shop, self._hits = faiss, shop, hits
        self._items = [shop.pair_item[shop.pair_class == m] for m in _WANTED]
        self._indices = [_inverted(faiss, shop.class_vectors[shop.pair_class == m]) for m in _WANTED]
        self._attribute = _inverted(faiss, shop.vectors)
        both = np.intersect1d(*self._items)
        self._both = [np.searchsorted(items, both) for items in self._items]

    def merging(self, item: int) -> list[int]:
        vectors, depth = queries(self._shop, item), 4 * self._hits
        while True:
            for index, items in zip(
                self._indices, self._items, strict=True
            ):  # as wide as deep, or nothing more is found
                index.nprobe = min(index.nlist, max(index.nlist // 4, 2 * index.nlist * depth // len(items)))
            lists = []
            for index, items, vector in zip(self._indices, self._items, vectors, strict=True):
                similarity, rows = index.search(vector[None], min(depth, len(items)))
                there = rows[0] >= 0
                lists.append(dict(zip(items[rows[0][there]].tolist(), similarity[0][there].tolist(), strict=True)))
            both = lists[0].keys() & lists[1].keys() - {item}
            if len(both) >= self._hits or depth >= max(map(len, self._items)):
                break
            depth *= 4
        places = sorted(both, key=lambda one: (-(lists[0][one] + lists[1][one]), one))[: self._hits]
        return self._filled(places, lists, item)

    def selecting(self, item: int) -> list[int]:
        means: dict[int, float] = {}
        vectors = queries(self._shop, item)
        for index, items, rows, vector in zip(self._indices, self._items, self._both, vectors, strict=True):
            selector = self._faiss.IDSelectorBatch(rows)
            search = self._faiss.SearchParametersIVF(sel=selector, nprobe=index.nlist)
            similarity, found = index.search(vector[None], len(rows), params=search)
            for one, value in zip(items[found[0]].tolist(), similarity[0].tolist(), strict=True):
                means[one] = means.get(one, 0.0) + value
        means.pop(item, None)
        if len(means) < self._hits:
            return self.merging(item)
        return sorted(means, key=lambda one: (-means[one], one))[: self._hits]

    def _filled(self, places: list[int], lists: list[dict[int, float]], item: int) -> list[int]:
        """With those that carry one class, and then with the nearest of the rest."""
        taken = {*places, item}
        ones = {one: value for found in lists for one, value in found.items() if one not in taken}
        places = (places + sorted(ones, key=lambda one: (-ones[one], one)))[: self._hits]
        if len(places) < self._hits:
            found = self._attribute.search(self._shop.vectors[item][None], 4 * self._hits)[1][0].tolist()
            taken |= {*places}
            places += [one for one in found if one not in taken][: self._hits - len(places)]
        return places


def queries(shop: Shop, item: int) -> list[np.ndarray]:
    """An item's own embeddings of the wanted classes, the classes' prototypes where it does not carry them."""
    assert shop.means.class_level is not None
    result = []
    for m in _WANTED:
        own = np.flatnonzero((shop.pair_item == item) & (shop.pair_class == m))
        carried = shop.carried[item, m] and len(own)
        result.append(shop.class_vectors[own[0]] if carried else shop.means.class_level[m].numpy())
    return result


def truth(shop: Shop, item: int, hits: int) -> set[int]:
    """The first places by products in double precision."""
    total, number = np.zeros(len(shop.ids)), shop.carried[:, list(_WANTED)].sum(1)
    for m, vector in zip(_WANTED, queries(shop, item), strict=True):
        own = shop.pair_class == m
        total[shop.pair_item[own]] += shop.class_vectors[own].astype(np.float64) @ vector.astype(np.float64)
    attribute = shop.vectors.astype(np.float64) @ shop.vectors[item].astype(np.float64) if (number == 0).any() else 0
    similarity = np.where(number > 0, total / np.maximum(number, 1), attribute)
    number[item] = -1
    return set(np.lexsort((-similarity, -number))[:hits].tolist())


def _inverted(faiss: Any, vectors: np.ndarray) -> Any:
    index = faiss.index_factory(vectors.shape[1], f"IVF{round(len(vectors) ** 0.5)},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    index.nprobe = max(1, index.nlist // 4)  # of the attribute's; those of classes are set at each search
    return index


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    if (faiss := peer("faiss")) is None:
        return 1
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        shop = Shop(options.items, options.width, Path(folder), options.data)
        theirs = Peer(faiss, shop, options.hits)
        expected = [truth(shop, item, options.hits) for item in range(options.queries)]
        sides = {"engine": engine_asked(shop, options.hits), "merging": theirs.merging, "selecting": theirs.selecting}
        print(f"{options.items:,} items of {options.width} ({options.data}), {options.hits} hits, one thread")
        medians = {}
        times: dict[str, list[float]] = {name: [] for name in sides}
        recalls: dict[str, list[float]] = {name: [] for name in sides}
        for item in range(-3, options.queries):
            for name, ask in sides.items():
                start = time.perf_counter()
                places = ask(max(item, 0))
                took = time.perf_counter() - start
                if item >= 0:  # before, files and caches are read
                    times[name].append(took)
                    recalls[name].append(len(expected[item] & {*places}) / options.hits)
        for name in sides:
            medians[name] = statistics.median(times[name])
            print(f"{name:10} {1000 * medians[name]:7.2f} ms (median)  recall {statistics.mean(recalls[name]):.3f}")
        for name in ("merging", "selecting"):
            print(f"ratio {name} / engine: {medians[name] / medians['engine']:.2f}")
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = shop_options(__doc__, 100_000)
    parser.add_argument("--hits", type=int, default=100)
    parser.add_argument("--queries", type=int, default=50)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
