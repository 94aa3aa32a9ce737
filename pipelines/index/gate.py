"""The gate before publication: what a snapshot must be to replace the one that is being served.

What is checked follows the change. The keys and embeddings of items that were committed since the last snapshot are
looked at; all of them only where it is not known which those are: after a run that was killed, and for a new
generation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import lance
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from cluster.settings import Section
from pipelines.errors import GateError

from .datasets import open_dataset, small_caches
from .naming import DEAD_LETTERS, ITEMS
from .schema import LIVE, is_one_of
from .vector_index import VECTOR_INDEX, nearest

_BATCH = 65_536
_AHEAD = 2  # batches that are read ahead; by default Lance holds sixteen
_ROUNDING = 1e-9  # of a bound that is a sum of shares
_QUERIES, _HITS = 32, 10  # of the sample that the recall of an index is measured with


class GateSettings(Section):
    """What refuses a publication; what was published before stands then."""

    max_loss: float = Field(0.5, ge=0, le=1)
    """Share of the served items that may be gone from the next snapshot."""
    max_growth: float | None = Field(None, ge=1)
    """How many times as many items as are served the next snapshot may have; unset: any number."""
    max_unseen: float = Field(0.0, ge=0, le=1)
    """Share of the served items that another generation, published in their place, may never have tried to embed: with
    any, its first ingestion has not ended, or was of another catalogue."""
    sample: int = Field(256, ge=2)
    """Items whose embeddings are looked at in each table."""
    norm: float = Field(0.02, gt=0, lt=1)
    """How far the norm of an embedding may be from 1."""
    spread: float = Field(1e-4, ge=0, lt=1)
    """Least variance of the sampled embeddings of a table, summed over dimensions (of unit vectors it is 1 at most): an
    encoder that gives all pictures one vector is broken."""
    recall: float = Field(0.95, ge=0, le=1)
    """Least recall@10 against exact search of a vector index that was built, and of one of those that were extended;
    of all where it is not known which those are."""


class Gate:
    """Checks of one generation's tables; each raises `GateError` and says what is wrong.

    Args:
        uri: of the index, for messages.
        datasets: the tables that commits change, as they are to be published.
        settings: bounds.

    Attributes:
        results: what was measured, by check; a check that found nothing to measure has none.
    """

    def __init__(self, uri: str, datasets: Mapping[str, lance.LanceDataset], settings: GateSettings) -> None:
        self.uri, self.datasets, self.settings = uri, datasets, settings
        self.results: dict[str, float] = {}

    def check(self, *, changed: Sequence[str] | None, served_items: int, indexed: Sequence[str] = ()) -> None:
        """All checks.

        Args:
            changed: ids that were committed since the last snapshot; None = unknown, so that all are looked at.
            served_items: items of the snapshot that is served now, whichever generation's; 0 = there is none.
            indexed: tables whose vector index is looked at.
        """
        self._count(served_items)
        if changed is None:
            self._all_keys()
        else:
            self._keys(changed)
        self._embeddings(changed)
        self._recall(indexed)

    def check_seen(self, served: lance.LanceDataset) -> None:
        """Every item of another generation, which is served, stands here too, or among the dead letters.

        Args:
            served: its ``items``.
        """
        seen = np.concatenate([_hashes(self.datasets[table], ["item_id"]) for table in (ITEMS, DEAD_LETTERS)])
        wanted = _hashes(served, ["item_id"])
        unseen = len(np.setdiff1d(wanted, seen))
        self.results["unseen"] = share = unseen / max(len(wanted), 1)
        if share > self.settings.max_unseen:
            self._refuse(
                f"{unseen:,} of the {len(wanted):,} items that are served were never embedded in this generation, nor "
                "refused; run `duet ingest` for them, or raise --gate.max-unseen if they are not wanted in it"
            )

    def _count(self, before: int) -> None:
        now, most = self.datasets[ITEMS].count_rows() - 1, self.settings.max_growth
        share = max(0, before - now) / max(before, 1)
        self.results["loss"] = share
        if share > self.settings.max_loss + _ROUNDING:
            self._refuse(
                f"of {before:,} served items {now:,} are left, and --gate.max-loss is {self.settings.max_loss:g}; "
                "if they are meant to go, raise it"
            )
        if before and most is not None and now > most * before:
            self._refuse(
                f"{now:,} items would take the place of {before:,}, and --gate.max-growth is {most:g}; if so many are "
                "meant to come, raise it"
            )

    def _keys(self, changed: Sequence[str]) -> None:
        """Each changed id stands once or not at all in ``items``, and in every other table as there."""
        ids = is_one_of("item_id", changed)
        there = self.datasets[ITEMS].to_table(columns=["item_id"], filter=ids)["item_id"].to_pylist()
        self._unique(ITEMS, there)
        known = set(there)
        for table, columns in self._keyed().items():
            rows = self.datasets[table].to_table(columns=columns, filter=ids)
            self._unique(table, list(zip(*(rows[name].to_pylist() for name in columns), strict=True)))
            found = set(rows["item_id"].to_pylist())
            self._same(table, missing=known - found if len(columns) == 1 else set(), foreign=found - known)
        self.results["checked items"] = len(changed)

    def _all_keys(self) -> None:
        """The same of all rows. Memory: 8 bytes a row and table; keys are compared by 64 bits of their hash."""
        items = _hashes(self.datasets[ITEMS], ["item_id"])
        self._distinct(ITEMS, items)
        for table, columns in self._keyed().items():
            self._distinct(table, _hashes(self.datasets[table], columns))
            own = np.unique(_hashes(self.datasets[table], ["item_id"]))
            missing = len(np.setdiff1d(items, own, assume_unique=True)) if len(columns) == 1 else 0
            foreign = len(np.setdiff1d(own, items, assume_unique=True))
            self._same(table, missing=range(missing), foreign=range(foreign))
        self.results["checked items"] = len(items)

    def _keyed(self) -> dict[str, list[str]]:
        """Key columns of the tables that follow ``items``."""
        return {
            table: ["class", "item_id"] if "class" in dataset.schema.names else ["item_id"]
            for table, dataset in self.datasets.items()
            if table not in (ITEMS, DEAD_LETTERS)
        }

    def _unique(self, table: str, keys: list[object]) -> None:
        doubled = [one for one, other in pairwise(sorted(keys, key=repr)) if one == other]
        if doubled:
            self._refuse(f"table {table} holds {len(doubled):,} keys twice, such as {doubled[0]!r}")

    def _distinct(self, table: str, hashes: NDArray[np.int64]) -> None:
        doubled = int((hashes[1:] == hashes[:-1]).sum())
        if doubled:
            self._refuse(f"table {table} holds {doubled:,} keys twice")

    def _same(self, table: str, *, missing: set[str] | range, foreign: set[str] | range) -> None:
        for ids, what in ((missing, "lacks"), (foreign, "holds, and items does not,")):
            if ids:
                example = f", such as {min(ids)!r}" if isinstance(ids, set) else ""
                self._refuse(f"table {table} {what} {len(ids):,} items{example}")

    def _embeddings(self, changed: Sequence[str] | None) -> None:
        """Of a sample: the norms are 1, and not all vectors are one."""
        for table, dataset in self.datasets.items():
            if "embedding" not in dataset.schema.names:
                continue
            vectors = self._sample(dataset, changed)
            if not len(vectors):
                continue
            off = float(np.abs(np.linalg.norm(vectors, axis=1) - 1).max())
            self.results["norm"] = max(off, self.results.get("norm", 0.0))
            if not off <= self.settings.norm:  # NaN too
                self._refuse(f"table {table} has an embedding whose norm is {off:.3g} from 1")
            if len(vectors) == self.settings.sample and not table.startswith("class-"):
                spread = _spread(vectors)
                if spread < self.settings.spread and changed is not None:  # many new items may share a placeholder
                    spread = _spread(self._sample(dataset, None))
                self.results["spread"] = min(spread, self.results.get("spread", spread))
                if spread < self.settings.spread:
                    self._refuse(f"the embeddings of table {table} are nearly all the same (variance {spread:.2g})")

    def _sample(self, dataset: lance.LanceDataset, changed: Sequence[str] | None) -> NDArray[np.float32]:
        if changed is None:
            count = dataset.count_rows()
            picked = np.unique(np.linspace(0, count - 1, min(count, self.settings.sample + 1)).astype(int))
            rows = dataset.take(picked.tolist(), columns=["embedding"])
        else:
            picked = np.linspace(0, len(changed) - 1, min(len(changed), self.settings.sample)).astype(int)
            some = is_one_of("item_id", [changed[place] for place in picked])
            rows = dataset.to_table(columns=["embedding"], filter=some)
        return _vectors(rows["embedding"])[: self.settings.sample]

    def _recall(self, indexed: Sequence[str]) -> None:
        for table in indexed:
            dataset = self.datasets[table]
            if VECTOR_INDEX not in {index.name for index in dataset.describe_indices()}:
                continue
            # What its queries visit would stay in the index's cache, where nobody asks for it again.
            dataset = open_dataset(dataset.uri, dataset.version, small_caches())
            count = dataset.count_rows()
            picked = np.unique(np.linspace(0, count - 1, _QUERIES + 1).astype(int))
            queries = _vectors(dataset.take(picked.tolist(), columns=["embedding"])["embedding"])
            hits = [nearest(dataset, query, _HITS)["_distance"].to_numpy() for query in queries]
            last = _distances(dataset, queries, min(_HITS, count - 1))[:, -1]
            # By distance and not by id: of equal pictures one is as good as the other.
            right = sum(int((found <= bound + 1e-3).sum()) for found, bound in zip(hits, last, strict=True))
            recall = right / (len(queries) * min(_HITS, count - 1))
            self.results["recall"] = min(recall, self.results.get("recall", recall))
            if recall < self.settings.recall:
                self._refuse(f"the vector index of table {table} finds {recall:.1%} of the {_HITS} nearest")

    def _refuse(self, why: str) -> None:
        raise GateError(f"nothing is published at {self.uri}, and what was published stands: {why}", why)


def _hashes(dataset: lance.LanceDataset, columns: list[str]) -> NDArray[np.int64]:
    """Sorted hashes of the keys of all rows, by a scan: Lance would read a scalar index whole for it, and keep it."""
    batches = dataset.to_batches(
        columns=columns, filter=LIVE, batch_size=_BATCH, batch_readahead=_AHEAD, use_scalar_index=False
    )
    parts = [
        np.fromiter(map(hash, zip(*(column.to_pylist() for column in batch.columns), strict=True)), np.int64)
        for batch in batches
    ]
    return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))


def _distances(dataset: lance.LanceDataset, queries: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """1 − product with the nearest rows, Q×count ascending, by one pass over the table for all queries."""
    best = np.empty((len(queries), 0), np.float32)
    for batch in dataset.to_batches(columns=["embedding"], batch_size=_BATCH // 8, batch_readahead=_AHEAD):
        vectors = _vectors(pa.chunked_array([batch.column("embedding")]))
        best = np.sort(np.concatenate([best, 1 - queries @ vectors.T], axis=1), axis=1)[:, :count]
    return best


def _spread(vectors: NDArray[np.float32]) -> float:
    """Variance of n×D, summed over D."""
    return float(vectors.var(axis=0).sum())


def _vectors(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """An embedding column without its nulls (the sentinel's) -> n×D."""
    values = column.drop_null().combine_chunks()
    flat = values.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(values), column.type.list_size).astype(np.float32)
