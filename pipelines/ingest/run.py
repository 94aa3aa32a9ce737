"""A run: receipts are committed as they come, in groups, and published."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime

from cluster.memory import give_back
from pipelines.data.progress import Advance
from pipelines.errors import StoreError
from pipelines.index.committer import Committer
from pipelines.index.publish import publish
from pipelines.index.receipt import Receipt
from pipelines.index.requests import Request
from pipelines.index.retention import clean
from pipelines.index.upkeep import maintain

from .chunk import Action
from .report import Report
from .settings import IngestSettings

_LEAST_FAILURES = 20  # refusals from which on their share counts


class Run:
    """Commits the receipts of one generation as they come, and publishes.

    Attributes:
        report: the sum of the receipts' reports.
        rate: encoded items per second, from the first receipt to the last commit.
    """

    def __init__(
        self,
        committer: Committer,
        settings: IngestSettings,
        checkpoint_uri: str,
        request: Request | None = None,
        *,
        serves: bool,
    ) -> None:
        self.report, self.rate = Report(), 0.0
        self._request = request
        self._committer, self._settings, self._checkpoint_uri = committer, settings, checkpoint_uri
        self._group: list[Receipt] = []
        self._vectors, self._commits, self._due, self._last = 0, 0, False, time.monotonic()
        # A generation that is built beside the published one is switched to by its operator, not by the way.
        self._serves = serves

    def commit_all(self, receipts: Iterable[tuple[Receipt, Report]], advance: Advance) -> None:
        """Commit receipts in groups; now and then publish, or at least bring the tables into order."""
        first, started = 0, time.monotonic()
        for number, (receipt, report) in enumerate(receipts):
            self.report.add(report)
            if number == 0:  # until then the workers were starting
                first, started = report.encoded, time.monotonic()
            if not receipt.is_empty:
                self._group.append(receipt)
                self._vectors += receipt.vectors
            late = time.monotonic() - self._last >= self._settings.commit_seconds
            if late or self._vectors >= self._settings.commit_vectors:
                self._commit()
            advance(report.seen)
        self._commit()
        if self.report.encoded > first:
            self.rate = (self.report.encoded - first) / (time.monotonic() - started)

    def publish(self, fresh_at: datetime | None = None) -> str | None:
        """Publish; None where another generation is served, whose place this one may take later."""
        began = time.perf_counter()
        if self._serves:
            settings = self._settings.publishing
            snapshot = publish(self._committer, self._checkpoint_uri, fresh_at=fresh_at, settings=settings)
        else:
            maintain(self._committer, self._settings.upkeep)
            clean(self._committer)
        give_back()
        self.report.spend("publish", time.perf_counter() - began)
        return snapshot.snapshot_id if self._serves else None

    def _commit(self) -> None:
        self._check_failures()
        if self._group:
            if self._due:  # not before there is more: the last publication knows `fresh_at`
                self.publish()
            began = time.perf_counter()
            assert self._request is None or self._commits == 0, "a request is one commit"
            self._committer.commit(self._group, self._request, self.report.actions)
            self.report.spend("commit", time.perf_counter() - began)
            self._group, self._vectors, self._commits = [], 0, self._commits + 1
            self._due = self._commits % self._settings.publish_commits == 0
        self._last = time.monotonic()

    def _check_failures(self) -> None:
        actions = self.report.actions
        refused = actions[Action.REFUSED]
        # The pictures of those that stay as they are were read as well.
        tried = refused + self.report.encoded + actions[Action.RELABELLED] + actions[Action.UNCHANGED]
        if refused >= _LEAST_FAILURES and refused > self._settings.max_failures * tried:
            reasons = ", ".join(f"{code} {count:,}" for code, count in self.report.refusals.most_common(5))
            raise StoreError(
                f"{refused:,} of {tried:,} items were refused ({reasons}), and --max-failures is "
                f"{self._settings.max_failures:g}: nothing more is committed or published. What was committed before "
                "stays; mend the cause, or raise it, and run this command again"
            )
