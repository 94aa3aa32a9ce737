"""The evaluator against a loop over its queries, on the same vectors, with the same threads, in turn.

    python -m benchmarks.retrieval                     # minutes on two cores
    python -m benchmarks.retrieval --queries 500 --gallery 5000
    OMP_NUM_THREADS=1 python -m benchmarks.retrieval   # one thread on both sides

The loop is what one writes with numpy: for each query a matrix-vector product with the gallery, a lexsort by (tier,
−similarity, id), and the figures of that ranking. Both protocols are measured: one similarity, as of systems without a
class level, and class embeddings first. Whatever does not depend on the query is made before the loop and is not timed:
the rank of each id, who carries a class, and those candidates' class embeddings; the evaluator's preparation is timed.

Vectors are multiples of 2⁻¹¹ of norm about 1, whose products float32 sums exactly in whatever order. So both sides see
the very same similarities, ties among them, and must score every query alike but for the rounding of float64 sums.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.duet import taxonomy_of
from benchmarks.ratio import compare, spread
from pipelines.evaluate.embedded import Embedded
from pipelines.evaluate.retrieval import RetrievalResult, evaluate_retrieval
from pipelines.evaluate.roles import Roles
from pipelines.evaluate.settings import RetrievalSettings

_BOUND = 1e-12  # of a figure in [0, 1], for any query: sums of float64 in another order
_SETTINGS = RetrievalSettings()

Figures = dict[str, NDArray[np.float64]]


class Loop:
    """The figures of Q queries, one after the other, and what they share.

    Args:
        embedded: of one single-label attribute; the queries, then the gallery.
        queries: Q.
    """

    def __init__(self, embedded: Embedded, queries: int) -> None:
        gallery = slice(queries, None)
        self.embedded, self.queries = embedded, queries
        self.ids = np.argsort(np.argsort(np.array(embedded.item_ids[gallery])))
        self.vectors = np.ascontiguousarray(embedded.attribute_embeddings[gallery, 0])
        self.predicted = embedded.predicted.argmax(1)
        self.labels = embedded.carried.argmax(1)
        classes = range(embedded.taxonomy.class_count)
        self.carries = [self.predicted[gallery] == m for m in classes]
        self.relevant = [self.labels[gallery] == m for m in classes]
        self.class_vectors: list[NDArray[np.float32]] = []
        if embedded.class_embeddings is not None:
            self.row = np.zeros_like(embedded.predicted, dtype=np.int64)
            self.row[embedded.pair_item, embedded.pair_class] = np.arange(len(embedded.pair_item))
            for m in classes:
                carriers = queries + np.flatnonzero(self.carries[m])
                self.class_vectors.append(embedded.class_embeddings[self.row[carriers, m]])

    def run(self) -> Figures:
        """By measure: Q numbers."""
        names = ["MAP@all", *(f"{measure}@{k}" for measure in ("MAP", "Recall") for k in _SETTINGS.ks)]
        figures = {name: np.zeros(self.queries) for name in names}
        for q in range(self.queries):
            hits = self.relevant[self.labels[q]][self.rank(q)]
            places = np.flatnonzero(hits) + 1
            if not len(places):
                continue
            precision = np.arange(1, len(places) + 1) / places
            figures["MAP@all"][q] = precision.mean()
            for k in _SETTINGS.ks:
                found = np.searchsorted(places, k, side="right")
                figures[f"MAP@{k}"][q] = precision[:found].sum() / min(len(places), k)
                figures[f"Recall@{k}"][q] = found / len(places)
        return figures

    def rank(self, q: int) -> NDArray[np.int64]:
        """Places in the gallery, best first."""
        m = self.predicted[q]
        near = self.vectors @ self.embedded.attribute_embeddings[q, 0]
        if self.embedded.class_embeddings is None:
            return np.lexsort((self.ids, -near, ~self.carries[m]))
        similarity = near.copy()
        similarity[self.carries[m]] = self.class_vectors[m] @ self.embedded.class_embeddings[self.row[q, m]]
        return np.lexsort((self.ids, -near, -similarity, ~self.carries[m]))


def draw(given: argparse.Namespace, class_level: bool) -> tuple[Embedded, Roles]:
    """Queries and gallery of one attribute: items of a class lie about its centre, one in five predicted at random."""
    dice, taxonomy = np.random.default_rng(0), taxonomy_of(1, given.classes)
    count = given.queries + given.gallery
    eye = np.eye(given.classes, dtype=bool)
    labels = dice.integers(0, given.classes, count)
    predicted = np.where(dice.random(count) < 0.2, dice.integers(0, given.classes, count), labels)
    pair_item, pair_class = (eye[labels] | eye[predicted]).nonzero()
    centres = dice.standard_normal((given.classes, given.width), np.float32)
    embedded = Embedded(
        item_ids=[f"{number:08d}" for number in dice.permutation(count)],
        attribute_embeddings=_about(centres[labels], dice)[:, None],
        probabilities=eye[predicted].astype(np.float32),
        predicted=eye[predicted],
        pair_item=pair_item,
        pair_class=pair_class,
        class_embeddings=_about(centres[labels[pair_item]], dice) if class_level else None,
        carried=eye[labels],
        known=np.ones((count, 1), bool),
        taxonomy=taxonomy,
    )
    query = np.arange(count)[:, None] < given.queries
    return embedded, Roles(query, ~query)


def _about(centres: NDArray[np.float32], dice: np.random.Generator) -> NDArray[np.float32]:
    vectors = centres + 3 * dice.standard_normal(centres.shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rounded: NDArray[np.float32] = np.rint(vectors * 2048) / 2048
    return rounded


def check(result: RetrievalResult, expected: Figures) -> float:
    """The largest difference of any figure of any query; fails above the bound."""
    (scores,) = result.attributes.values()
    difference = max(float(np.abs(scores.values[name] - figures).max()) for name, figures in expected.items())
    assert difference <= _BOUND, f"a figure differs by {difference:.1e}, more than {_BOUND:.0e}"
    return difference


def measure(name: str, embedded: Embedded, roles: Roles, given: argparse.Namespace) -> None:
    """Time and compare both sides; print what comes of it."""
    loop = Loop(embedded, given.queries)
    results: list[RetrievalResult] = []
    figures: list[Figures] = []

    def evaluator() -> None:
        results.append(evaluate_retrieval(embedded, _SETTINGS, roles))

    def looped() -> None:
        figures.append(loop.run())

    fast, slow, ratios = compare(evaluator, looped, given.rounds)
    difference, overall = check(results[-1], figures[-1]), results[-1].overall
    print(f"{name}: MAP@all {overall.map:.4f}, by chance {overall.chance['MAP@all']:.4f}")
    print(f"  loop over queries {slow:8.2f} s, {slow / given.queries * 1000:6.2f} ms a query")
    print(f"  evaluator         {fast:8.2f} s, {fast / given.queries * 1000:6.2f} ms a query")
    print(f"  largest difference of a figure of a query {difference:.1e}; limit {_BOUND:.0e}")
    print(f"  ratio loop / evaluator in seconds: {spread(ratios)}; limit 10 or more", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the ratio loop / evaluator in seconds, for both protocols."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=4_000)
    parser.add_argument("--gallery", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=1_024)
    parser.add_argument("--classes", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(argv)
    threads = os.environ.get("OMP_NUM_THREADS") or os.cpu_count()
    print(f"{given.queries} queries x {given.gallery} candidates x {given.width}, {given.classes} classes")
    print(f"numpy on {threads} threads, on both sides")
    for name, class_level in (("one similarity", False), ("class embeddings first", True)):
        measure(name, *draw(given, class_level), given)


if __name__ == "__main__":
    main()
