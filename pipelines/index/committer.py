"""The committer: receipts -> one atomic commit per table, exactly once (design 4).

A commit of several tables is not atomic, so their order and the sentinel make it so: every table gets the same mark,
``items`` after all others. What ``items`` says holds; a table whose mark is another was changed by a commit that never
ended, and `Committer` takes it back to the version that has the mark of ``items`` before it does anything else. The
chunks of that commit are still pending by the ledger, so the next run embeds them again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import lance
import pyarrow as pa
from lance.commit import CommitConflictError

from pipelines.errors import ConflictError, StoreError

from .datasets import beside, delete_rows, keep_version, let_go, read_fragments, write_rows
from .generation import Generation
from .lease import Lease
from .naming import DEAD_LETTERS, ITEMS
from .receipt import DeadLetter, Receipt
from .requests import Request, Requests
from .schema import DEAD_LETTERS_SCHEMA, is_one_of
from .sentinel import IS_SENTINEL, mark_sequence, new_mark, read_mark, sentinel_row
from .store import Index

_ATTEMPTS = 5
_MOST_CHANGED = 200_000  # ids that are remembered


class Committer:
    """Commits to the tables of one generation.

    Args:
        index: to commit to.
        generation: whose tables.
        lease: of the index, held.

    Attributes:
        changed: ids that were committed since the last snapshot of the generation; None = unknown, or too many.
        pins: tags of versions that this run reads, with their tables.

    Raises:
        StoreError: the tables contradict each other and cannot be repaired.
    """

    def __init__(self, index: Index, generation: Generation, lease: Lease) -> None:
        self.index, self.generation, self.lease = index, generation, lease
        self._datasets = {table: index.dataset(table, generation.name) for table in generation.committed_tables}
        # The version that this committer wrote last, and its fragment that has nothing but the sentinel.
        self._sentinels: dict[str, tuple[int, int]] = {}
        self.mark = self._recover_items()
        for table in generation.committed_tables:
            self._recover(table)
        if lease.predecessor == "silent":
            # It may wake up in the middle of a commit: with every sentinel written anew, nothing of it comes through.
            beside(lambda table: self._commit_table(table, [], [], self.mark), generation.committed_tables)
        Requests(index).settle(generation.name, self.mark)  # before the mark is another one
        # What was committed since the last snapshot; None = unknown: there is none yet, or a run ended before it
        # published, and neither its rows nor an index that it built have passed the gate.
        self.changed: set[str] | None = set() if self._is_published() else None
        self.pins: dict[str, str] = {}

    @property
    def sequence(self) -> int:
        """High-water mark: the greatest `sequence` of a committed receipt."""
        return mark_sequence(self.mark)

    @property
    def datasets(self) -> dict[str, lance.LanceDataset]:
        """The tables as last committed."""
        return dict(self._datasets)

    def commit(
        self, receipts: Sequence[Receipt], request: Request | None = None, counts: Mapping[str, int] | None = None
    ) -> None:
        """Commit receipts: in every table old rows of their ids go and new ones come, at once.

        Args:
            receipts: no id in two of them.
            request: that this commit is the whole of; None = none, or not only this commit.
            counts: that are written down with it.

        Raises:
            ConflictError: another process has taken over, or changed the tables.
            StoreError: an id begins with a control character.
        """
        assert receipts
        self.lease.check()
        replaced = [item_id for receipt in receipts for item_id in receipt.replaced]
        relabelled = [item_id for receipt in receipts for item_id in receipt.relabelled]
        cleared = [item_id for receipt in receipts for item_id in receipt.cleared]
        changed = [*replaced, *relabelled, *cleared]
        if min(changed, default=" ") < " ":
            raise StoreError("an item_id is empty or begins with a control character; those are kept for the sentinel")
        assert len(set(changed)) == len(changed), "an id in two receipts"
        mark = new_mark(max(self.sequence, *(receipt.sequence for receipt in receipts)))
        # The ledger tells which of the ids have rows, in any table: mostly none, and then nothing is looked for there.
        known = self._known([*replaced, *relabelled])
        old = [item_id for item_id in replaced if item_id in known]
        gone = dict.fromkeys(self.generation.committed_tables, old)
        gone[ITEMS] = [*old, *(item_id for item_id in relabelled if item_id in known)]
        gone[DEAD_LETTERS] = changed if self._datasets[DEAD_LETTERS].count_rows() > 1 else []

        def commit_table(table: str) -> None:
            new = [text for receipt in receipts for text in receipt.fragments.get(table, ())]
            if table == DEAD_LETTERS:
                new += self._dead_letters([letter for receipt in receipts for letter in receipt.dead_letters])
            self._commit_table(table, gone[table], new, mark)

        if request is not None:
            Requests(self.index).begin(request, self.generation.name, mark, counts)
        # Beside each other, since each is mostly waiting for the store; ``items``, which decides, when all are through.
        beside(commit_table, self.generation.committed_tables[:-1])
        self.lease.check()
        commit_table(ITEMS)
        self.mark = mark
        if self.changed is not None:
            self.changed.update(replaced, relabelled)
            if len(self.changed) > _MOST_CHANGED:
                self.changed = None

    def pin(self, tables: Sequence[str]) -> dict[str, int]:
        """Keep the versions of these tables as they are now from being cleaned away until `unpin`; table -> version."""
        pinned = {}
        for table in tables:
            dataset = self._datasets[table]
            tag = f"run-{self.lease.token}-{table}-v{dataset.version}"
            keep_version(dataset, tag)
            self.pins[tag] = table
            pinned[table] = dataset.version
        return pinned

    def unpin(self) -> None:
        """Let go of what was pinned."""
        for tag, table in self.pins.items():
            let_go(self._datasets[table], tag)
        self.pins = {}

    def refresh(self) -> None:
        """Reopen the tables after a change that keeps their rows, such as an index."""
        for table in self.generation.committed_tables:
            self._reopen(table)

    def _known(self, item_ids: Sequence[str]) -> set[str]:
        """Which of these ids stand in the ledger."""
        found = self._datasets[ITEMS].to_table(columns=["item_id"], filter=is_one_of("item_id", item_ids))
        return set(found["item_id"].to_pylist())

    def _commit_table(self, table: str, gone: Sequence[str], new: Sequence[str], mark: str) -> None:
        for _ in range(_ATTEMPTS):
            dataset = self._datasets[table]
            version, own = self._sentinels.get(table, (-1, -1))
            if gone or version != dataset.version:
                removed, updated = delete_rows(dataset, IS_SENTINEL | is_one_of("item_id", gone))
            else:
                removed, updated = [own], []
            operation = lance.LanceOperation.Update(
                removed_fragment_ids=removed,
                updated_fragments=updated,
                new_fragments=read_fragments([*new, *write_rows(dataset, sentinel_row(dataset.schema, mark))]),
            )
            try:
                committed = lance.LanceDataset.commit(dataset, operation, read_version=dataset.version)
                self._datasets[table] = committed
                last = max(fragment.fragment_id for fragment in committed.get_fragments())
                self._sentinels[table] = committed.version, last
                return
            except CommitConflictError:
                self.lease.check()
                self._reopen(table)
        raise ConflictError(
            f"table {table} of {self.index.uri} kept changing under a commit; stop what else writes to it"
        )

    def _reopen(self, table: str) -> None:
        """The latest version of a table, which must still be where this committer left it."""
        dataset = self.index.dataset(table, self.generation.name)
        if read_mark(dataset) != self.mark:
            raise ConflictError(
                f"table {table} of {self.index.uri} was changed by another writer; nothing more is committed. "
                "Stop it and run this command again: it repairs the table first"
            )
        self._datasets[table] = dataset

    def _is_published(self) -> bool:
        """Whether the tables are just as in the last snapshot of the generation, indices included."""
        last = self.index.latest(generation=self.generation.name)
        return last is not None and all(last.versions[table] == own.version for table, own in self._datasets.items())

    def _recover_items(self) -> str:
        """The mark of ``items``, which is taken back to its last version with a single sentinel if it has not one."""
        mark = read_mark(self._datasets[ITEMS]) or self._restore(ITEMS, lambda mark: mark is not None)
        if mark is None:
            raise self._beyond_repair(ITEMS)
        return mark

    def _recover(self, table: str) -> None:
        """Take a table back to the mark of ``items``, past the commit that never ended."""
        if read_mark(self._datasets[table]) == self.mark:
            return
        if self._restore(table, lambda mark: mark == self.mark) is None:
            raise self._beyond_repair(table)

    def _restore(self, table: str, wanted: Callable[[str | None], bool]) -> str | None:
        """Take a table back to its last version with a mark that is wanted; None if it has no such version."""
        for version in sorted((v["version"] for v in self._datasets[table].versions()), reverse=True):
            before = self.index.dataset(table, self.generation.name, version)
            mark = read_mark(before)
            if wanted(mark):
                self.lease.check()
                before.restore()
                self._datasets[table] = self.index.dataset(table, self.generation.name)
                assert read_mark(self._datasets[table]) == mark
                return mark
        return None

    def _beyond_repair(self, table: str) -> StoreError:
        return StoreError(
            f"table {table} of {self.index.uri} does not fit its items and no older version of it does; "
            "publish an older snapshot, or ingest into a new index"
        )

    def _dead_letters(self, letters: Sequence[DeadLetter]) -> tuple[str, ...]:
        """Fragments of the letters, each with the number of its attempt (1, 2, …)."""
        dataset = self._datasets[DEAD_LETTERS]
        ids = [letter.item_id for letter in letters]
        if not ids:
            return ()
        earlier = dataset.to_table(columns=["item_id", "attempt"], filter=is_one_of("item_id", ids))
        attempts = _greatest(earlier)
        now = datetime.now(UTC)
        rows = [
            {
                "item_id": letter.item_id,
                "attempt": attempts.get(letter.item_id, 0) + 1,
                "stage": letter.stage,
                "code": letter.code,
                "message": letter.message,
                "image_hash": letter.image_hash,
                "created_at": now,
            }
            for letter in letters
        ]
        return write_rows(dataset, pa.Table.from_pylist(rows, schema=DEAD_LETTERS_SCHEMA))


def _greatest(table: pa.Table) -> dict[str, int]:
    """Item id -> its greatest attempt."""
    grouped = table.group_by("item_id").aggregate([("attempt", "max")])
    return dict(zip(grouped["item_id"].to_pylist(), grouped["attempt_max"].to_pylist(), strict=True))
