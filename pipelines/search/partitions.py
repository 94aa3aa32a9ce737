"""Embeddings in partitions about centres, with a short sketch of each, so that a search reads little of them.

An inverted file (Jégou et al. 2011, section III.B) over principal components: a row's sketch is its coordinates along
the few directions in which the rows vary most, and its partition is that of the centre whose sketch is nearest. How
short the sketches may be, and how many partitions a search visits, is measured when they are made, by the nearest
`NEIGHBOURS` of a sample of the rows. Where it takes too much, the vectors have no structure to use and there are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .compiled import compiled
from .products import Rows

Vector = NDArray[np.float32]

NEIGHBOURS = 100  # of which a search should find its share
SHORTLIST = 256  # of which the sketches say that they are the nearest, that are compared in full
_SKETCHES = (1 / 16, 1 / 8, 1 / 4)  # of a row's width, the shortest first
_KEPT_BY_SKETCHES, _KEPT_BY_VISITS = 0.995, 0.98  # shares of the neighbours
_WORTH = 0.25  # of the partitions: whoever must visit more is as fast without them
_CHANGED = 0.3  # of the rows, since it was learnt: from there on what was learnt does not serve any more
_SAMPLE, _LEARNT_FROM, _ROUNDS = 200, 32, 8  # queries; rows for each centre; of k-means
_BLOCK = 8192  # rows in single precision at once


@dataclass(frozen=True)
class Partitions:
    """Partitions of n rows that are sorted by them.

    Args:
        basis: D×d, orthonormal; a row's sketch is its product with this.
        centres: k×d, sketches of norm 1.
        visits: partitions that a search visits at least.
        fresh: how many rows have come since this was learnt, over all snapshots.
        starts: k+1 row numbers; a partition ends where the next one begins.
        sketches: n×d.
    """

    basis: torch.Tensor
    centres: torch.Tensor
    visits: int
    fresh: int
    starts: NDArray[np.int64]
    sketches: Rows

    def __len__(self) -> int:
        return len(self.centres)

    def sketch(self, query: Vector) -> Vector:
        """Of a query of width D: d."""
        result: Vector = (torch.from_numpy(query) @ self.basis).numpy()
        return result

    def nearest(
        self, sketch: Vector, position: NDArray[np.int64], among: NDArray[np.bool_]
    ) -> Iterator[NDArray[np.int64]]:
        """Row numbers, partition by partition, the nearest to a query's sketch first.

        First of as many partitions as a search visits, then of as many again, until there are no more.

        Args:
            sketch: of the query.
            position: n, of each row's item.
            among: N, only rows of these items.
        """
        near = np.argsort(-(self.centres @ torch.from_numpy(sketch)).numpy())
        for start in range(0, len(near), self.visits):
            yield _members(self.starts, near[start : start + self.visits], position, among)


@compiled("int64[::1](int64[::1], int64[::1], int64[::1], boolean[::1])")
def _members(starts: Any, partitions: Any, position: Any, among: Any) -> Any:
    """Row numbers of some partitions, where the item is among those wanted."""
    most = 0
    for number in partitions:
        most += starts[number + 1] - starts[number]
    result, count = np.empty(most, np.int64), 0
    for number in partitions:
        for row in range(starts[number], starts[number + 1]):
            result[count] = row
            count += among[position[row]]
    return result[:count]


@torch.inference_mode()
def partition(rows: Rows, like: tuple[Rows, Partitions] | None = None) -> tuple[NDArray[np.int64], Partitions] | None:
    """Partition n×D embeddings. The same rows in the same order are partitioned alike.

    Args:
        rows: n×D.
        like: embeddings of before, sorted by their partitions. As long as most of those that it was learnt of are
            still there, and about as many, it serves again, and costs no more than what is new.

    Returns:
        The order, n row numbers, that sorts them by partition, and the partitions of what is so sorted; None if
        visiting them would not pay.
    """
    found = (None if like is None else _again(rows, *like)) or _anew(rows)
    if found is None:
        return None
    own, made = found
    order = np.argsort(own, kind="stable")
    starts = np.searchsorted(own[order], np.arange(len(made) + 1))
    return order, replace(made, starts=starts, sketches=made.sketches[order])


def _count(rows: Rows) -> int:
    return 2 * round(len(rows) ** 0.5)


def _again(rows: Rows, before: Rows, learnt: Partitions) -> tuple[NDArray[np.int64], Partitions] | None:
    """Each row's partition, n, by what was learnt of other rows; None if they are too different."""
    if before.shape[1] != rows.shape[1] or not 0.7 < _count(rows) / len(learnt) < 1.5:
        return None
    old, new = _first_numbers(before), _first_numbers(rows)
    order = np.argsort(old)
    place = order[np.minimum(np.searchsorted(old[order], new), len(old) - 1)]
    fresh = old[place] != new
    changed = learnt.fresh + int(fresh.sum())  # of all that came since, or a little at a time would never be too much
    if changed > _CHANGED * len(rows):
        return None
    own = np.repeat(np.arange(len(learnt)), np.diff(learnt.starts))[place]
    sketches = learnt.sketches[place]
    sketches[fresh] = _sketches(rows[fresh], learnt.basis)
    own[fresh] = _nearest_centre(sketches[fresh], learnt.centres)
    return own, replace(learnt, fresh=changed, sketches=sketches)


def _first_numbers(rows: Rows) -> NDArray[np.uint64]:
    """The first four numbers of each row as one. Of rows that share it, which chance forbids, some are found badly."""
    four = np.zeros((len(rows), 4), np.float16)
    four[:, : rows.shape[1]] = rows[:, :4]
    result: NDArray[np.uint64] = four.view(np.uint64)[:, 0]
    return result


def _anew(rows: Rows) -> tuple[NDArray[np.int64], Partitions] | None:
    """Each row's partition, n, as yet unsorted; None if they do not pay."""
    dice = np.random.default_rng(0)
    chosen = dice.permutation(len(rows))[:_SAMPLE]
    queries = _single(rows[chosen])
    neighbours = _best(queries, rows, chosen, NEIGHBOURS)
    basis = _basis(rows, dice)
    sketches = _sketches(rows, basis)
    for share in _SKETCHES:
        width = max(1, round(share * rows.shape[1]))
        short = np.ascontiguousarray(sketches[:, :width])
        listed = _best(queries @ basis[:, :width], short, chosen, SHORTLIST)
        kept = np.mean([np.isin(*pair).mean() for pair in zip(neighbours.numpy(), listed.numpy(), strict=True)])
        if kept >= _KEPT_BY_SKETCHES:
            break
    else:
        return None
    centres = _centres(short, _count(rows), dice)
    own = _nearest_centre(short, centres)
    place = (queries @ basis[:, :width] @ centres.T).argsort(1, descending=True).argsort(1)  # of each centre
    needed = place.gather(1, torch.from_numpy(own)[neighbours]).numpy()
    visits = int(np.quantile(needed, _KEPT_BY_VISITS, method="higher")) + 1
    if visits > _WORTH * len(centres):
        return None
    return own, Partitions(basis[:, :width].contiguous(), centres, visits, 0, np.empty(0, np.int64), short)


def _basis(rows: Rows, dice: np.random.Generator) -> torch.Tensor:
    """Directions in which a sample of the rows is longest, the first ones first: for products, so not centred."""
    sample = _single(rows[np.sort(dice.permutation(len(rows))[: 16 * rows.shape[1]])])
    directions = torch.linalg.eigh(sample.T @ sample).eigenvectors.flip(1)
    return directions[:, : max(1, round(_SKETCHES[-1] * rows.shape[1]))].contiguous()


def _sketches(rows: Rows, basis: torch.Tensor) -> Rows:
    result = np.empty((len(rows), basis.shape[1]), np.float16)
    for start in range(0, len(rows), _BLOCK):
        result[start : start + _BLOCK] = (_single(rows[start : start + _BLOCK]) @ basis).half().numpy()
    return result


def _best(queries: torch.Tensor, rows: Rows, own: NDArray[np.int64], count: int) -> torch.Tensor:
    """The rows most similar to each of q queries, which are rows themselves: q×count."""
    parts = [queries @ _single(rows[start : start + _BLOCK]).T for start in range(0, len(rows), _BLOCK)]
    similarity = torch.cat(parts, 1)
    similarity[torch.arange(len(own)), torch.from_numpy(own)] = -torch.inf
    return similarity.topk(min(count, len(rows) - 1), 1).indices


def _centres(sketches: Rows, count: int, dice: np.random.Generator) -> torch.Tensor:
    """Of norm 1, by spherical k-means on a sample; one that no row is nearest to starts anew at some row."""
    sample = _single(sketches[np.sort(dice.permutation(len(sketches))[: _LEARNT_FROM * count])])
    centres = torch.nn.functional.normalize(sample[torch.from_numpy(dice.permutation(len(sample))[:count])], dim=1)
    for _ in range(_ROUNDS):
        own = (sample @ centres.T).argmax(1)
        total = torch.zeros_like(centres).index_add_(0, own, sample)
        empty = torch.bincount(own, minlength=count) == 0
        total[empty] = sample[torch.from_numpy(dice.integers(0, len(sample), int(empty.sum())))]
        centres = torch.nn.functional.normalize(total, dim=1)
    return centres


def _nearest_centre(sketches: Rows, centres: torch.Tensor) -> NDArray[np.int64]:
    """Of each row: n."""
    result = np.empty(len(sketches), np.int64)
    for start in range(0, len(sketches), _BLOCK):
        part = _single(sketches[start : start + _BLOCK])
        result[start : start + _BLOCK] = (part @ centres.T).argmax(1).numpy()
    return result


def _single(rows: Rows) -> torch.Tensor:
    return torch.from_numpy(rows).float()
