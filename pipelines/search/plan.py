"""A plan: a request whose names were checked and turned into positions. Frozen; ``print(plan)`` says what is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa

from model.manipulation import Change
from model.taxonomy import Taxonomy

from .filters import Filter
from .request import Match


class QueryKind(StrEnum):
    """Where the query's vectors come from."""

    IMAGE = "image"  # the encoder
    ITEM = "item"  # the snapshot's tables
    PROTOTYPES = "prototypes"  # class means of the wanted classes


@dataclass(frozen=True)
class Scope:
    """What a snapshot lets one ask.

    Args:
        snapshot_id: its id.
        taxonomy: of its encoder.
        metadata: columns by which items can be filtered, with their types.
        has_global: whether it has a global space, in which manipulation searches.
    """

    snapshot_id: str
    taxonomy: Taxonomy
    metadata: Mapping[str, pa.DataType]
    has_global: bool


@dataclass(frozen=True)
class Condition:
    """One attribute's condition.

    Args:
        attribute: position 0..A−1.
        classes: class indices that are wanted; None = those that the query carries.
        match: how the tier follows from them.
        excluded: class indices that a candidate must not carry.
        weight: > 0.
        ranks: False if the condition only excludes.
    """

    attribute: int
    classes: tuple[int, ...] | None
    match: Match
    excluded: tuple[int, ...]
    weight: float
    ranks: bool


@dataclass(frozen=True)
class Plan:
    """What will be done, in terms of positions.

    Args:
        taxonomy: that positions and class indices refer to.
        query: where the query's vectors come from.
        conditions: in the request's order.
        changes: manipulations, in the request's order.
        filter: on metadata, with values in the columns' kinds.
        group_by: metadata column of which every value comes once; None = every item may be a hit.
        exact: whether every candidate must be compared.
        offset: hits on the pages before.
        page_size: at most that many hits.
        digest: of the request, for the next page's token.
    """

    snapshot_id: str
    taxonomy: Taxonomy = field(repr=False)
    query: QueryKind
    image: bytes | None = field(repr=False)
    item_id: str | None
    conditions: tuple[Condition, ...]
    changes: tuple[Change, ...]
    filter: Filter | None
    group_by: str | None
    exact: bool
    offset: int
    page_size: int
    digest: str

    @property
    def ranking(self) -> tuple[Condition, ...]:
        """The conditions that rank."""
        return tuple(condition for condition in self.conditions if condition.ranks)

    @property
    def wanted_classes(self) -> tuple[int, ...]:
        """Class indices that the request names as wanted, sorted: the class embeddings that a picture must have."""
        return tuple(sorted({m for condition in self.ranking for m in condition.classes or ()}))

    @property
    def explained(self) -> tuple[int, ...]:
        """Positions of the attributes that a hit's explanation tells about, in taxonomy order."""
        asked = {condition.attribute for condition in self.ranking} | {change.attribute for change in self.changes}
        return tuple(sorted(asked)) or tuple(range(len(self.taxonomy.attributes)))

    def __str__(self) -> str:
        source = {
            QueryKind.IMAGE: f"a picture of {len(self.image or b''):,} bytes",
            QueryKind.ITEM: f"item {self.item_id!r}",
            QueryKind.PROTOTYPES: "the prototypes of the wanted classes",
        }[self.query]
        lines = [f"search snapshot {self.snapshot_id} for {source}"]
        lines += [f"  {self._describe_change(change)}" for change in self.changes]
        lines += [f"  {self._describe(condition)}" for condition in self.conditions]
        if self.changes:
            lines.append("  rank by similarity in global space" + (" within tiers" if self.ranking else ""))
        elif not self.ranking:
            lines.append("  rank by mean similarity over all attributes")
        if self.filter is not None:
            lines.append(f"  filter {self.filter}")
        if self.group_by is not None:
            lines.append(f"  only the best of each {self.group_by!r}")
        return "\n".join([*lines, f"  hits {self.offset + 1} to {self.offset + self.page_size}"])

    def _names(self, classes: Sequence[int]) -> str:
        return ", ".join(self.taxonomy.class_name(m)[1] for m in classes)

    def _describe(self, condition: Condition) -> str:
        parts = [self.taxonomy.names[condition.attribute]]
        if condition.ranks:
            wanted = "as the query" if condition.classes is None else f"{condition.match}: "
            parts.append(wanted + self._names(condition.classes or ()))
            parts.append(f"weight {condition.weight:g}")
        if condition.excluded:
            parts.append("none of: " + self._names(condition.excluded))
        return "attribute " + ", ".join(parts)

    def _describe_change(self, change: Change) -> str:
        gone = [change.from_class] if change.from_class is not None else []
        come = [change.to_class] if change.to_class is not None else []
        text = f"change {self.taxonomy.names[change.attribute]}, {change.operation}"
        return text + (f" {self._names(gone)}" if gone else "") + (f" -> {self._names(come)}" if come else "")
