"""What a manifest holds, and what is wrong with it: the first thing to look at before training on it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from model.errors import ImageError, TaxonomyError
from model.preparation import ImagePreparation
from model.taxonomy import check_name

from .images import decode
from .manifest import Manifest, row_image
from .progress import progress

_EXAMPLES = 5
_ROWS_WITH_PICTURES = 64
_GLANCE = ImagePreparation(16, 16)


@dataclass
class AttributeSummary:
    """One attribute over all rows.

    Args:
        name: of the attribute.
        labelled: rows that have a label of it.
        multi_label: whether some row carries several classes.
        classes: class -> rows that carry it, the most frequent first.
    """

    name: str
    labelled: int = 0
    multi_label: bool = False
    classes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Problem:
    """One kind of fault: how often it occurs, in words, and the first few places."""

    kind: str
    count: int
    text: str
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """Everything that ``duet data describe`` prints.

    Args:
        files: of the manifest.
        rows: in all files.
        splits: split -> rows; ``""`` for rows without one. Empty if there is no such column.
        attributes: in the manifest's order.
        metadata: column -> type.
        ignored: columns that are neither -> type.
        pictures_checked: how many pictures were decoded.
        problems: none if all is well.
    """

    files: tuple[str, ...]
    rows: int
    splits: Mapping[str, int]
    attributes: tuple[AttributeSummary, ...]
    metadata: Mapping[str, str]
    ignored: Mapping[str, str]
    pictures_checked: int
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object of all fields."""
        return {
            "files": list(self.files),
            "rows": self.rows,
            "splits": dict(self.splits),
            "attributes": [
                {
                    "name": a.name,
                    "multi_label": a.multi_label,
                    "labelled": a.labelled,
                    "missing_share": 1 - a.labelled / self.rows if self.rows else 0.0,
                    "classes": dict(a.classes.most_common()),
                }
                for a in self.attributes
            ],
            "metadata": dict(self.metadata),
            "ignored": dict(self.ignored),
            "pictures_checked": self.pictures_checked,
            "problems": [{**vars(p), "examples": list(p.examples)} for p in self.problems],
        }


class _Faults:
    """Counts of one kind of fault, with the first few places."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind, self.text, self.count = kind, text, 0
        self.examples: list[str] = []

    def add(self, example: str) -> None:
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(example)


def describe(manifest: Manifest, *, sample: int | None = 1000) -> Description:
    """Read a manifest through, once for its labels and once for its pictures.

    Args:
        manifest: whose ids (and a hash of each picture) are held in memory.
        sample: how many pictures, spread evenly, are decoded; None = all. Pictures inside the manifest are all
            compared with each other; of pictures in files only the sampled ones are.
    """
    attributes, splits, trained, faults = _read_labels(manifest)
    checked = 0
    if {"image", "image_uri"} & set(manifest.schema.names):
        checked, more = _read_pictures(manifest, sample)
        faults += more
    faults += _class_faults(attributes, trained if manifest.has_split else None)
    return Description(
        files=manifest.files,
        rows=manifest.count(),
        splits=dict(splits.most_common()) if manifest.has_split else {},
        attributes=tuple(attributes),
        metadata={name: str(manifest.schema.field(name).type) for name in manifest.metadata},
        ignored=dict(manifest.roles.ignored),
        pictures_checked=checked,
        problems=tuple(Problem(f.kind, f.count, f.text, tuple(f.examples)) for f in faults if f.count),
    )


def _read_labels(
    manifest: Manifest,
) -> tuple[list[AttributeSummary], Counter[str], set[tuple[str, str]], list[_Faults]]:
    """Attributes, splits, the (attribute, class) pairs of the train split, and faults of ids and splits."""
    duplicates = _Faults("DUPLICATE_ID", "an item_id occurs more than once; only one of the rows can be indexed")
    no_split = _Faults("NO_SPLIT", "the row has no split; it is used for neither training nor evaluation")
    attributes = [AttributeSummary(name) for name in manifest.attributes]
    splits: Counter[str] = Counter()
    trained: set[tuple[str, str]] = set()
    seen: set[str] = set()
    columns = ["item_id", *(["split"] if manifest.has_split else []), *manifest.attributes]
    for batch in manifest.batches(4096, columns):
        ids = batch.column("item_id").to_pylist()
        names = [s or "" for s in batch.column("split").to_pylist()] if manifest.has_split else ["train"] * len(ids)
        splits.update(names)
        for item_id, split in zip(ids, names, strict=True):
            if item_id in seen:
                duplicates.add(repr(item_id))
            seen.add(item_id)
            if not split:
                no_split.add(repr(item_id))
        for attribute in attributes:
            for classes, split in zip(batch.column(attribute.name).to_pylist(), names, strict=True):
                distinct = set(classes)
                attribute.labelled += bool(distinct)
                attribute.multi_label |= len(distinct) > 1
                attribute.classes.update(distinct)
                if split == "train":
                    trained.update((attribute.name, name) for name in distinct)
    return attributes, splits, trained, [duplicates, no_split]


def _read_pictures(manifest: Manifest, sample: int | None) -> tuple[int, list[_Faults]]:
    """How many pictures were decoded, and faults of pictures."""
    unreadable = _Faults("UNREADABLE_PICTURE", "a picture cannot be read or decoded; its item is left out")
    leaked = _Faults("PICTURE_IN_TWO_SPLITS", "one picture stands in two splits, which flatters every evaluation")
    rows = manifest.count()
    step = 1 if sample is None else max(1, -(-rows // max(1, sample)))
    where: dict[bytes, tuple[str, str]] = {}
    checked = 0

    def check(task: tuple[dict[str, Any], bool]) -> tuple[dict[str, Any], bytes | None, ImageError | None]:
        row, chosen = task
        if not chosen and not row.get("image"):
            return row, None, None
        try:
            data = row_image(row, manifest.roots)
            if chosen:
                decode(data, _GLANCE)
            return row, hashlib.sha256(data).digest(), None
        except ImageError as error:
            return row, None, error

    with ThreadPoolExecutor() as pool, progress("looking at pictures", rows) as advance:
        for tasks in _picture_rows(manifest, step):
            for row, digest, error in pool.map(check, tasks):
                if error is not None:
                    unreadable.add(f"{row['item_id']!r}: {error.code} {error}")
                if digest is not None and manifest.has_split:
                    split, other = where.setdefault(digest, (row["split"] or "", row["item_id"]))
                    if split != (row["split"] or ""):
                        leaked.add(f"{other!r} ({split}) and {row['item_id']!r} ({row['split']})")
            checked += sum(chosen for _, chosen in tasks)
            advance(len(tasks))
    return checked, [unreadable, leaked]


def _picture_rows(manifest: Manifest, step: int) -> Iterator[list[tuple[dict[str, Any], bool]]]:
    """Batches of rows with their picture, and whether the row is one of every `step`."""
    columns = [n for n in ("item_id", "image", "image_uri", "split") if n in manifest.schema.names]
    row = 0
    for batch in manifest.batches(_ROWS_WITH_PICTURES, columns):
        yield [(values, (row + n) % step == 0) for n, values in enumerate(batch.to_pylist())]
        row += batch.num_rows


def _class_faults(attributes: list[AttributeSummary], trained: set[tuple[str, str]] | None) -> list[_Faults]:
    """Faults of classes; `trained` = those of the train split, None without splits."""
    once = _Faults("CLASS_SEEN_ONCE", "a class is carried by a single row; it can be neither trained nor evaluated")
    untrained = _Faults("CLASS_NOT_IN_TRAIN", "a class occurs in other splits but not in train")
    unlabelled = _Faults("NO_LABELS", "an attribute has no label in any row")
    names = _Faults("BAD_NAME", "a class name cannot be used")
    for attribute in attributes:
        if not attribute.classes:
            unlabelled.add(repr(attribute.name))
        for name, count in sorted(attribute.classes.items()):
            place = f"{attribute.name}: {name!r}"
            if count == 1:
                once.add(place)
            if trained is not None and (attribute.name, name) not in trained:
                untrained.add(place)
            try:
                check_name(name)
            except TaxonomyError as error:
                names.add(f"{place} ({error})")
    return [once, untrained, unlabelled, names]
