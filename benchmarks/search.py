"""Searches a second: the engine against LanceDB asked directly, against faiss, and against a product with everything.

    python -m benchmarks.search                        # 100,000 items of 1024 numbers: minutes on two cores
    python -m benchmarks.search --data manifold        # vectors as hard to tell apart as those of pictures
    python -m benchmarks.search --items 10000 --width 256

How the vectors lie: `benchmarks.shop`. There is one attribute, so that a search by an item alone is the plain search
for the nearest, in which all sides can be compared: the engine, which explains each hit, with embeddings in memory and
with none, and in a process for each core, as replicas may be; Lance's vector index of the same table, through
`pipelines.index.vector_index.nearest`; a product of the query with all vectors in single precision; and faiss, if it is
installed (`benchmarks.peers`): HNSW on eight bits, and inverted lists, each as wide as its recall needs. Recall
is of the 100 nearest, by products in double precision. At the end the engine's search for items of two classes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers import peer
from benchmarks.rates import Ask, engine_asked, rate, rate_of_processes
from benchmarks.shop import Shop, shop_options
from pipelines.index.vector_index import nearest
from pipelines.search.engine import Engine
from pipelines.search.matrices import MatrixCache
from pipelines.search.request import AttributeCondition, SearchRequest

_CLIENTS = 16


def memory_asked(shop: Shop, hits: int) -> Ask:
    """The engine with all embeddings in memory."""
    return engine_asked(shop.engine, hits)


def tables_asked(shop: Shop, hits: int) -> Ask:
    """An engine that may keep no embeddings in memory."""
    return engine_asked(Engine(shop.engine.reader, shop.engine.checkpoint, cache=MatrixCache(0)), hits)


def two_classes_asked(shop: Shop, hits: int) -> Ask:
    """Items of both of two classes first, then those of one."""
    wanted = (AttributeCondition(shop.name, shop.classes[:2]),)

    def ask(item: int) -> list[int]:
        request = SearchRequest(item_id=shop.ids[item], attributes=wanted, page_size=hits)
        return [int(hit.item_id[5:]) for hit in shop.engine.search(request).hits]

    return ask


def lance_asked(shop: Shop, hits: int) -> Ask:
    """The vector index of the same table."""

    def ask(item: int) -> list[int]:
        found = nearest(shop.table, shop.vectors[item], hits + 1)["item_id"].to_pylist()
        return [int(item_id[5:]) for item_id in found if item_id != shop.ids[item]][:hits]

    return ask


def product_asked(shop: Shop, hits: int) -> Ask:
    """A product with all vectors, in single precision."""
    vectors = torch.from_numpy(shop.vectors)

    def ask(item: int) -> list[int]:
        found: list[int] = (vectors @ vectors[item]).topk(hits + 1).indices.tolist()
        return [one for one in found if one != item][:hits]

    return ask


def faiss_asked(faiss: Any, shop: Shop, hits: int, kind: str, truth: Sequence[set[int]], wanted: float) -> Ask:
    """An index of faiss, as wide as the recall that is wanted needs."""
    width = shop.vectors.shape[1]
    index = faiss.index_factory(width, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(shop.vectors)
    index.add(shop.vectors)

    def ask(item: int) -> list[int]:
        found = index.search(shop.vectors[item : item + 1], hits + 1)[1][0].tolist()
        return [one for one in found if one != item][:hits]

    space = faiss.ParameterSpace()
    name = "efSearch" if "HNSW" in kind else "nprobe"
    for effort in (4, 8, 16, 32, 64, 128, 256, 512):
        space.set_index_parameter(index, name, effort)
        if recall(ask, truth) >= wanted:
            break
    return ask


def exact(shop: Shop, queries: int, hits: int) -> list[set[int]]:
    """The nearest of the first items, by products in double precision."""
    vectors, truth = torch.from_numpy(shop.vectors).double(), []
    for item in range(queries):
        product = vectors @ vectors[item]
        product[item] = -2
        truth.append(set(product.topk(hits).indices.tolist()))
    return truth


def recall(ask: Ask, truth: Sequence[set[int]]) -> float:
    return statistics.mean(len(set(ask(item)) & nearest_) / len(nearest_) for item, nearest_ in enumerate(truth))


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    faiss = peer("faiss")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        shop = Shop(options.items, options.width, Path(folder), options.data)
        truth = exact(shop, options.queries, options.hits)
        sides = {
            "engine": memory_asked,
            "engine, by tables alone": tables_asked,
            "LanceDB": lance_asked,
            "product, float32": product_asked,
        }
        asks = {name: make(shop, options.hits) for name, make in sides.items()}
        if faiss is not None:
            for kind in ("HNSW32_SQ8", f"IVF{round(options.items**0.5)},Flat"):
                asks[f"faiss {kind}"] = faiss_asked(faiss, shop, options.hits, kind, truth, options.recall)
        print(
            f"{options.items:,} items of {options.width} ({options.data}), {options.hits} hits,",
            f"{options.queries} queries",
        )
        rates: dict[str, tuple[float, float]] = {}
        for name, ask in asks.items():
            threads = 2 if ask is asks["product, float32"] else 1  # it alone is faster with two
            one, many = rate(ask, options.queries, 1, threads), rate(ask, options.queries, _CLIENTS)
            rates[name] = one, many
            print(
                f"{name:24} {one:8.1f}/s alone {many:8.1f}/s {_CLIENTS} clients  recall {recall(ask, truth):.3f}",
                flush=True,
            )
        shared = rate_of_processes(shop, options.hits, options.queries, _CLIENTS)
        print(f"engine, a process a core {shared:25.1f}/s {_CLIENTS} clients")
        for name, (one, many) in rates.items():
            print(
                f"ratio to {name}: engine {rates['engine'][0] / one:.3f} alone, {rates['engine'][1] / many:.3f} with",
                f"{_CLIENTS} clients; a process a core {shared / many:.3f} with {_CLIENTS}",
            )
        print(f"engine, items of two classes: {rate(two_classes_asked(shop, options.hits), options.queries, 1):.1f}/s")
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = shop_options(__doc__, 100_000, "centres")
    parser.add_argument("--hits", type=int, default=100)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--recall", type=float, default=0.97, help="that faiss is set to")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
