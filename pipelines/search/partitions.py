"""Embeddings in partitions about centres, with a short sketch of each, so that a search reads little of them.

An inverted file (Jégou et al. 2011, section III.B) over sketches: a row's partition is that of the centre nearest to
its coordinates. How short the sketches may be, and how many partitions a search visits, is measured when they are made,
by the nearest `NEIGHBOURS` of a sample of the rows. Where it takes too much, the vectors have no structure to use and
there are none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .compiled import compiled
from .products import Rows, Vector, products
from .sketches import Sketches, along

Numbers = NDArray[np.float16] | NDArray[np.int8]

NEIGHBOURS = 100  # of which a search should find its share
SHORTLIST = 256  # of which the sketches say that they are the nearest, that are compared in full
_SKETCHES = (1 / 16, 1 / 8, 1 / 4)  # of a row's width, the shortest first
_KEPT_BY_SKETCHES, _KEPT_BY_VISITS = 0.995, 0.98  # shares of the neighbours
_WORTH = 0.25  # of the partitions: whoever must visit more is as fast without them
_CHANGED = 0.3  # of the rows, since it was learnt: from there on what was learnt does not serve any more
_CLIPPED = SHORTLIST // 4  # rows beyond the sketches' steps: as they look nearer than they are, more fill every list
_SAMPLE, _LEARNT_FROM, _ROUNDS = 200, 32, 8  # queries; rows for each centre; of k-means
_BLOCK = 8192  # rows in single precision at once
_ONE_OF = 8  # rows of a partition is looked up ahead, for the share that is wanted


@dataclass(frozen=True)
class Partitions:
    """Partitions of n rows that are sorted by them.

    Args:
        centres: k×d, coordinates of norm 1.
        visits: partitions that a search visits at least.
        fresh: how many rows have come since this was learnt, over all snapshots.
        starts: k+1 row numbers; a partition ends where the next one begins.
        sketches: of the n rows.
    """

    centres: Rows
    visits: int
    fresh: int
    starts: NDArray[np.int64]
    sketches: Sketches

    def __len__(self) -> int:
        return len(self.centres)

    def near(
        self, query: Vector, position: NDArray[np.int64], among: NDArray[np.bool_], least: int, *, shortlist: bool
    ) -> NDArray[np.int64]:
        """Rows of the partitions nearest to a query: of as many as a search visits, or of so many more as it needs.

        Where only a share of the rows is wanted, about as many of those are looked at as else of all: the nearest
        that are wanted lie as much farther out.

        Args:
            query: its coordinates.
            position: n, of each row's item.
            among: N, only rows of these items.
            least: so many rows at least, or all of them.
            shortlist: just so many, or all of them, the nearest by their sketches; in no order.

        Returns:
            Row numbers.
        """
        order, visits = np.argsort(-products(self.centres, query)), self.visits
        if not shortlist:
            return _members(self.starts, order, visits, position, among, least)
        sketches = self.sketches
        return _nearest(self.starts, order, visits, position, among, least, sketches.numbers, query * sketches.steps)


@compiled("int64[::1](int64[::1], int64[::1], int64, int64[::1], boolean[::1], int64)")
def _members(starts: Any, order: Any, visits: Any, position: Any, among: Any, least: Any) -> Any:
    """Row numbers of the first partitions, where the item is among those wanted."""
    result, count = np.empty(len(position), np.int64), 0
    bound, looked, wanted = 0, 0, 0
    for place, number in enumerate(order):
        if place >= bound and place * wanted >= bound * looked:
            if count >= least:
                break
            bound += visits
        # Rows of a partition are in the order of the items: always its first ones would be the catalogue's first.
        for row in range(-(-starts[number] // _ONE_OF) * _ONE_OF, starts[number + 1], _ONE_OF):
            looked += 1
            wanted += among[position[row]]
        for row in range(starts[number], starts[number + 1]):
            result[count] = row
            count += among[position[row]]
    return result[:count].copy()


@compiled("int64[::1](int64[::1], int64[::1], int64, int64[::1], boolean[::1], int64, int8[:,::1], float32[::1])")
def _nearest(
    starts: Any, order: Any, visits: Any, position: Any, among: Any, least: Any, numbers: Any, query: Any
) -> Any:
    """The `least` of `_members` whose numbers have the largest products with the query."""
    result, similarity, count = np.empty(least, np.int64), np.empty(least, np.float32), 0  # a heap, the least first
    bound, looked, wanted = 0, 0, 0
    for place, number in enumerate(order):
        if place >= bound and place * wanted >= bound * looked:
            if count == least:
                break
            bound += visits
        for row in range(-(-starts[number] // _ONE_OF) * _ONE_OF, starts[number + 1], _ONE_OF):
            looked += 1
            wanted += among[position[row]]
        filtered = wanted < looked  # then it is looked at first who may be found, else last
        for row in range(starts[number], starts[number + 1]):
            if filtered and not among[position[row]]:
                continue
            own = np.float32(0)
            for n in range(len(query)):
                own += np.float32(numbers[row, n]) * query[n]
            if (count == least and not own > similarity[0]) or not among[position[row]]:
                continue
            if count < least:
                at, count = count, count + 1
                while at and similarity[(at - 1) // 2] > own:
                    result[at], similarity[at] = result[(at - 1) // 2], similarity[(at - 1) // 2]
                    at = (at - 1) // 2
            else:
                at = 0
                while 2 * at + 1 < least:
                    child = 2 * at + 1
                    child += child + 1 < least and similarity[child + 1] < similarity[child]
                    if not similarity[child] < own:
                        break
                    result[at], similarity[at] = result[child], similarity[child]
                    at = child
            result[at], similarity[at] = row, own
    return result[:count].copy()


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
    return order, replace(made, starts=starts, sketches=made.sketches.take(order))


def _count(rows: Rows) -> int:
    return 2 * round(len(rows) ** 0.5)


def _again(rows: Rows, before: Rows, learnt: Partitions) -> tuple[NDArray[np.int64], Partitions] | None:
    """Each row's partition, n, by what was learnt of other rows; None if they are too different."""
    if before.shape[1] != rows.shape[1] or not 0.7 < _count(rows) / len(learnt) < 1.5:
        return None
    old, new = _keys(_bits(before)), _keys(_bits(rows))
    order = np.argsort(old)
    place = order[np.minimum(np.searchsorted(old[order], new), len(old) - 1)]
    fresh = old[place] != new
    changed = learnt.fresh + int(fresh.sum())  # of all that came since, or a little at a time would never be too much
    if changed > _CHANGED * len(rows):
        return None
    own = np.repeat(np.arange(len(learnt)), np.diff(learnt.starts))[place]
    sketches, new_ones = learnt.sketches.take(place), along(rows[fresh], learnt.sketches.basis)
    sketches.numbers[fresh] = sketches.rounded(new_ones)
    if sketches.clipped > _CLIPPED:
        return None
    own[fresh] = _nearest_centre(torch.from_numpy(new_ones), _single(learnt.centres)).numpy()
    return own, replace(learnt, fresh=changed, sketches=sketches)


def _bits(rows: Rows) -> NDArray[np.uint16]:
    result: NDArray[np.uint16] = np.ascontiguousarray(rows).view(np.uint16)
    return result


@compiled("uint64[::1](uint16[:,::1])")
def _keys(rows: Any) -> Any:
    """A number for each row, of all that it holds (FNV-1a): some encoders' rows all begin, or end, with zeros."""
    result = np.empty(len(rows), np.uint64)
    for row in range(len(rows)):
        key = np.uint64(0xCBF29CE484222325)
        for n in range(rows.shape[1]):
            key = (key ^ np.uint64(rows[row, n])) * np.uint64(0x100000001B3)
        result[row] = key
    return result


def _anew(rows: Rows) -> tuple[NDArray[np.int64], Partitions] | None:
    """Each row's partition, n, as yet unsorted; None if they do not pay."""
    dice = np.random.default_rng(0)
    chosen = dice.permutation(len(rows))[:_SAMPLE]
    queries = _single(rows[chosen])
    neighbours = _best(queries, rows, chosen, NEIGHBOURS)
    basis = _basis(rows, dice)
    long = along(rows, basis)
    own_long = _single(long[chosen])
    for share in _SKETCHES:
        width = max(1, round(share * rows.shape[1]))
        short = np.ascontiguousarray(long[:, :width])
        sketches = Sketches.learn(basis[:width], short)
        in_steps = own_long[:, :width] * torch.from_numpy(sketches.steps)
        listed = _best(in_steps, sketches.numbers, chosen, SHORTLIST)
        kept = np.mean([np.isin(*pair).mean() for pair in zip(neighbours.numpy(), listed.numpy(), strict=True)])
        if kept >= _KEPT_BY_SKETCHES:
            break
    else:
        return None
    centres = _centres(short, _count(rows), dice)
    own = _nearest_centre(torch.from_numpy(short), _single(centres))
    place = (own_long[:, :width] @ _single(centres).T).argsort(1, descending=True).argsort(1)  # of each centre
    needed = place.gather(1, own[neighbours]).numpy()
    visits = int(np.quantile(needed, _KEPT_BY_VISITS, method="higher")) + 1
    if visits > _WORTH * len(centres):
        return None
    return own.numpy(), Partitions(centres, visits, 0, np.empty(0, np.int64), sketches)


def _basis(rows: Rows, dice: np.random.Generator) -> Rows:
    """Directions in which a sample of the rows is longest, the first ones first: for products, so not centred."""
    sample = _single(rows[np.sort(dice.permutation(len(rows))[: 16 * rows.shape[1]])])
    directions = torch.linalg.eigh(sample.T @ sample).eigenvectors.flip(1)
    result: Rows = directions[:, : max(1, round(_SKETCHES[-1] * rows.shape[1]))].T.contiguous().half().numpy()
    return result


def _best(queries: torch.Tensor, rows: Numbers, own: NDArray[np.int64], count: int) -> torch.Tensor:
    """The rows most similar to each of q queries, which are rows themselves: q×count."""
    count, itself = min(count, len(rows) - 1), torch.from_numpy(own)
    similarity, number = torch.empty(len(own), 0), torch.empty(len(own), 0, dtype=torch.int64)
    for start in range(0, len(rows), _BLOCK):
        part = queries @ _single(rows[start : start + _BLOCK]).T
        numbers = torch.arange(start, start + part.shape[1]).expand(len(own), -1)
        part[numbers == itself[:, None]] = -torch.inf
        similarity, number = torch.cat([similarity, part], 1), torch.cat([number, numbers], 1)
        similarity, place = similarity.topk(min(count, similarity.shape[1]), 1)
        number = number.gather(1, place)
    return number


def _centres(short: Rows, count: int, dice: np.random.Generator) -> Rows:
    """Of norm 1, by spherical k-means on a sample; one that no row is nearest to starts anew at some row."""
    sample = _single(short[np.sort(dice.permutation(len(short))[: _LEARNT_FROM * count])])
    centres = torch.nn.functional.normalize(sample[torch.from_numpy(dice.permutation(len(sample))[:count])], dim=1)
    for _ in range(_ROUNDS):
        own = _nearest_centre(sample, centres)
        total = torch.zeros_like(centres).index_add_(0, own, sample)
        empty = torch.bincount(own, minlength=count) == 0
        total[empty] = sample[torch.from_numpy(dice.integers(0, len(sample), int(empty.sum())))]
        centres = torch.nn.functional.normalize(total, dim=1)
    result: Rows = centres.half().numpy()
    return result


def _nearest_centre(short: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Of each of n×d coordinates: n."""
    return torch.cat([(part.float() @ centres.T).argmax(1) for part in short.split(_BLOCK)])


def _single(rows: Numbers) -> torch.Tensor:
    return torch.from_numpy(rows).float()
