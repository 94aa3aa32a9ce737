"""Random embedded sets, and the slow, literal retrieval evaluation that the fast one must equal."""

from __future__ import annotations

import numpy as np

from model.taxonomy import Attribute, Taxonomy
from pipelines.evaluate.embedded import Embedded
from pipelines.evaluate.roles import Roles
from pipelines.search.ranking import id_ranks, rank

TAXONOMY = Taxonomy(
    (
        Attribute("collar", ("crew", "v-neck", "polo")),
        Attribute("print", ("dots", "floral", "tribal", "stripes"), multi_label=True),
        Attribute("length", ("short", "long")),
    )
)


def random_embedded(
    seed: int, items: int, *, taxonomy: Taxonomy = TAXONOMY, width: int = 4, classes: bool = True, unknown: float = 0.2
) -> Embedded:
    """Items whose vectors are multiples of 1/4, so that every product is exact in float32 and many tie."""
    rng = np.random.default_rng(seed)

    def vectors(*shape: int) -> np.ndarray:
        return (rng.integers(-2, 3, (*shape, width)) / 4).astype(np.float32)

    def draw() -> np.ndarray:
        chosen = np.zeros((items, taxonomy.class_count), bool)
        for n, attribute in enumerate(taxonomy.attributes):
            span = taxonomy.span(n)
            for _ in range(3 if attribute.multi_label else 1):
                chosen[np.arange(items), rng.integers(span.start, span.stop, items)] = True
        return chosen

    carried, predicted = draw(), draw()
    known = rng.random((items, len(taxonomy.attributes))) >= unknown
    carried &= known[:, list(taxonomy.attribute_of_class)]
    pair_item, pair_class = (carried | predicted).nonzero()
    return Embedded(
        item_ids=[f"item {number}" for number in rng.permutation(items)],  # "item 10" < "item 9"
        attribute_embeddings=vectors(items, len(taxonomy.attributes)),
        probabilities=rng.random((items, taxonomy.class_count), np.float32),
        predicted=predicted,
        pair_item=pair_item,
        pair_class=pair_class,
        class_embeddings=vectors(len(pair_item)) if classes else None,
        carried=carried,
        known=known,
        taxonomy=taxonomy,
    )


def class_vectors(embedded: Embedded, item: int) -> dict[int, np.ndarray]:
    """Class index -> class embedding of one item."""
    assert embedded.class_embeddings is not None
    rows = np.flatnonzero(embedded.pair_item == item)
    return {int(embedded.pair_class[row]): embedded.class_embeddings[row] for row in rows}


def slow_ranking(embedded: Embedded, n: int, item: int, condition: set[int], candidates: list[int]) -> list[int]:
    """Candidates, best first, by `ranking.rank`, one pair at a time."""
    if not candidates:
        return []
    ids = id_ranks([embedded.item_ids[candidate] for candidate in candidates])
    told = embedded.attribute_embeddings.shape[2] - embedded.slack
    query = embedded.attribute_embeddings[item, n, :told]
    near = np.array([embedded.attribute_embeddings[other, n, :told] @ query for other in candidates], np.float32)
    tier, similarity = [], []
    for candidate in candidates:
        shared = [m for m in sorted(condition) if embedded.predicted[candidate, m]]
        tier.append(len(shared))
        if embedded.class_embeddings is None:
            similarity.append(np.float32(0))
            continue
        mine, theirs = class_vectors(embedded, item), class_vectors(embedded, candidate)
        total = np.float32(sum(float(mine[m] @ theirs[m]) for m in shared))
        similarity.append(total / np.float32(len(shared)) if shared else np.float32(0))
    order = rank(np.array(tier), np.array(similarity, np.float32), ids, secondary=near)
    return [candidates[place] for place in order]


def slow_retrieval(
    embedded: Embedded, roles: Roles, relevance: str, classes: str
) -> dict[str, list[tuple[int, int, list[bool]]]]:
    """Per attribute: (item, class index or −1, relevance in rank order) of every query."""
    taxonomy = embedded.taxonomy
    result: dict[str, list[tuple[int, int, list[bool]]]] = {}
    for n, attribute in enumerate(taxonomy.attributes):
        span = taxonomy.span(n)
        sets = [{int(m) for m in np.flatnonzero(row[span]) + span.start} for row in embedded.carried]
        guesses = [{int(m) for m in np.flatnonzero(row[span]) + span.start} for row in embedded.predicted]
        rows = result[attribute.name] = []
        for item in range(len(embedded)):
            if not (roles.query & embedded.known)[item, n]:
                continue
            candidates = [
                other for other in range(len(embedded)) if (roles.gallery & embedded.known)[other, n] and other != item
            ]
            per_class = relevance == "class" or not attribute.multi_label
            for m in sorted(sets[item]) if per_class else [-1]:
                given = {m} if per_class else sets[item]
                own = guesses[item] if embedded.class_first else set()
                ranked = slow_ranking(embedded, n, item, given if classes == "given" else own, candidates)
                if per_class:
                    hits = [m in sets[other] for other in ranked]
                elif relevance == "any":
                    hits = [bool(sets[item] & sets[other]) for other in ranked]
                else:
                    hits = [sets[item] == sets[other] for other in ranked]
                rows.append((item, m, hits))
    return result
