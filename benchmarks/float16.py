"""What float16, in which an index keeps its embeddings, costs: recall against float32, and MAP.

    python -m benchmarks.float16 --checkpoint runs/first/checkpoint --manifest wardrobe.parquet

Every item of a split is a query among all others, by each attribute's embedding, and by each class's among the items
that are predicted to carry it. Recall@K: of the K nearest by float32 (the query is float32, too), those that are among
the K nearest when candidates are rounded to float16. Where two candidates are equally near, either counts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import load_checkpoint
from pipelines.data.item_store import ItemStore, default_cache
from pipelines.data.manifest import Manifest
from pipelines.evaluate.embedded import embed
from pipelines.evaluate.retrieval import evaluate_retrieval

_KS = (10, 100)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--manifest", nargs="+", required=True)
    parser.add_argument("--split", default="val")
    options = parser.parse_args(argv)
    loaded = load_checkpoint(options.checkpoint)
    manifest = Manifest.labelled(options.manifest, loaded.taxonomy)
    store = ItemStore.open(manifest, loaded.taxonomy, split=options.split, cache=default_cache())
    full = embed(loaded, loaded.preparation, store)
    print(f"{len(full):,} items of {options.split}, {loaded.encoder.config.system}")
    for n, name in enumerate(full.taxonomy.names):
        print(f"{name:20}", _line(recalls(full.attribute_embeddings[:, n])))
    if full.class_embeddings is not None:
        sure = full.predicted[full.pair_item, full.pair_class]
        of_class = [full.class_embeddings[sure & (full.pair_class == m)] for m in range(full.taxonomy.class_count)]
        found = [recalls(vectors) for vectors in of_class if len(vectors) > _KS[0]]
        print(f"{'classes, mean':20}", _line({k: float(np.mean([f[k] for f in found if k in f])) for k in _KS}))
    half = replace(
        full,
        attribute_embeddings=_half(full.attribute_embeddings),
        class_embeddings=None if full.class_embeddings is None else _half(full.class_embeddings),
    )
    values = [evaluate_retrieval(items).overall.values["MAP@all"] for items in (full, half)]
    print(f"MAP@all overall      {100 * values[0]:.4f} % in float32, {100 * values[1]:.4f} % in float16")
    return 0


def recalls(vectors: NDArray[np.float32]) -> dict[int, float]:
    """Recall@K of the rounded vectors N×D, every vector a query; of no K that all others are no more than."""
    exact, rounded = vectors @ vectors.T, vectors @ _half(vectors).T
    for scores in (exact, rounded):
        np.fill_diagonal(scores, -np.inf)
    found = {}
    for k in _KS:
        if k < len(vectors) - 1:
            least = -np.partition(-exact, k - 1, axis=1)[:, k - 1]
            chosen = np.argpartition(-rounded, k - 1, axis=1)[:, :k]
            found[k] = float((np.take_along_axis(exact, chosen, 1) >= least[:, None]).mean())
    return found


def _half(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors.astype(np.float16).astype(np.float32)


def _line(found: dict[int, float]) -> str:
    return "   ".join(f"recall@{k} {value:.5f}" for k, value in found.items())


if __name__ == "__main__":
    raise SystemExit(main())
