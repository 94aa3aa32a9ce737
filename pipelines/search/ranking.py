"""The ranking protocol of the house (design 3): the service ranks with these functions, the evaluation as they do.

A ranking is by (tier, class similarity, attribute similarity, id): more carried classes first; among items of one
tier the mean similarity over the classes that they carry; then attribute similarity; ties by item id, always.
Similarities of two tiers are never compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def id_ranks(item_ids: list[str]) -> NDArray[np.int64]:
    """Position of each id in the sorted ids: the tie-breaker."""
    ranks = np.empty(len(item_ids), np.int64)
    ranks[np.argsort(np.asarray(item_ids, dtype=object), kind="stable")] = np.arange(len(item_ids))
    return ranks


def rank(
    tier: NDArray[np.integer] | None,
    similarity: NDArray[np.floating],
    ids: NDArray[np.int64],
    *,
    secondary: NDArray[np.floating] | None = None,
    limit: int | None = None,
) -> NDArray[np.int64]:
    """Candidate positions from best to worst.

    Args:
        tier: N integers, higher is better; None = one tier.
        similarity: N, compared within a tier only.
        ids: N, from `id_ranks`.
        secondary: N, decides where tier and similarity are equal, before the id.
        limit: only the best `limit` (exactly those of the full ranking).
    """
    keys: list[NDArray[np.generic]] = [ids]
    if secondary is not None:
        keys.append(-secondary)
    keys.append(-similarity)
    if tier is not None:
        keys.append(-tier)
    if limit is None:
        return np.lexsort(keys)
    if limit <= 0:
        return np.empty(0, np.int64)
    if len(ids) <= 4 * limit:  # to narrow them down takes longer than to sort them
        return np.lexsort(keys)[:limit]
    chosen = np.arange(len(ids))
    for key in reversed(keys):  # narrow to what can reach the first `limit`, coarsest key first
        values = key[chosen]
        bound = np.partition(values, limit - 1)[limit - 1]
        chosen = chosen[values <= bound]
        if len(chosen) == limit:
            break
        if key is not ids and (values < bound).any():
            break  # what is below the bound is in, whatever its finer keys; the rest ties at it
    return chosen[np.lexsort([key[chosen] for key in keys])][:limit]


def mean_similarity(
    similarities: Sequence[NDArray[np.floating]], weights: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """Mean of several similarities of N candidates, by weight, in float64 -> N."""
    if len(similarities) == 1:
        return similarities[0].astype(np.float64)
    weights = [1.0] * len(similarities) if weights is None else weights
    total = np.zeros(len(similarities[0]), np.float64)
    for similarity, weight in zip(similarities, weights, strict=True):
        total += weight * similarity.astype(np.float64)
    return total / sum(weights)


def condition_keys(
    carried: NDArray[np.bool_],
    class_similarity: NDArray[np.floating] | None,
    attribute_similarity: NDArray[np.floating],
    *,
    count: bool = True,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Tier and similarity of N candidates under one attribute's k wanted classes.

    Args:
        carried: N×k, whether a candidate is predicted to carry a class.
        class_similarity: N×k, read where `carried`; None for an encoder without a class level.
        attribute_similarity: N.
        count: tier = number of wanted classes carried; False: 1 if any is, else 0.

    Returns:
        tier, N; and similarity, N: the mean class similarity over the classes carried, or the attribute
        similarity where none is (or where there is no class level).
    """
    number = carried.sum(1, dtype=np.int64)
    tier = number if count else np.minimum(number, 1)
    similarity = attribute_similarity.astype(np.float64)
    if class_similarity is not None:
        some = number > 0
        total = np.where(carried, class_similarity, 0).sum(1, dtype=np.float64)
        similarity[some] = total[some] / number[some]
    return tier, similarity
