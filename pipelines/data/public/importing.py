"""An import: a reader's streams -> manifest, roles, triplets and a report, in one folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from model.errors import ImageError
from pipelines.data.columns import LABELS, PICTURE
from pipelines.data.ids import id_fault
from pipelines.data.locations import find_image, read_image
from pipelines.data.progress import progress
from pipelines.data.schemas import RESERVED, normal_name
from pipelines.errors import ManifestError

from . import folder, table
from .counts import Counts
from .journal import Journal
from .place import Place
from .reading import AnyDataSet, Item, Reading
from .settings import ImportSettings

_NO_PICTURE = "no such picture"
_OUTSIDE = "picture cannot be read: OUTSIDE_ROOTS"
_NOT_LOOKED_FOR = "picture cannot be looked for"
_BAD_ID = "location that cannot be an item_id"
_TWICE = "item occurs more than once; the first one is kept"
_NO_ROLE = "query or candidate whose item was left out"
_NO_TRIPLET = "triplet with an item that was left out"


@dataclass(frozen=True)
class Imported:
    """What became of an import: its folder, the folder of the pictures, counts and journal."""

    out: Path
    root: Path
    counts: Counts
    journal: Journal


def import_set(data_set: AnyDataSet, settings: ImportSettings) -> Imported:
    """Import a data set into ``settings.out``.

    Raises:
        ManifestError: a file is missing or is something else, nothing in it can be used, or the folder is in use.
    """
    place = Place(Path(os.path.abspath(settings.path)), data_set.obtained)
    if not settings.path.is_dir():
        raise ManifestError(f"{settings.path}: no such folder; the set is obtained from {data_set.obtained}")
    with folder.whole_folder(settings.out) as out:
        journal = Journal()
        reading = data_set.read(place, settings, journal)
        counts = Counts(reading.attributes)
        written = _items(out, reading, settings, journal, counts)
        if not written:
            raise _nothing(place, journal)
        _roles(out, reading, written, journal, counts)
        _triplets(out, reading, written, journal, counts)
        report = {
            "data_set": data_set.name,
            "settings": settings.model_dump(mode="json"),
            "root": os.path.abspath(reading.root),
            **counts.to_json(),
            **journal.to_json(),
        }
        (out / folder.REPORT).write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return Imported(settings.out, reading.root, counts, journal)


def _schema(attributes: tuple[str, ...], copy: bool) -> pa.Schema:
    for name in attributes:
        if name in RESERVED or not name.strip() or [normal_name(other) for other in attributes].count(name) != 1:
            raise ManifestError(f"the set has an attribute {name!r}, a name that is taken or impossible")
    picture = [("image", PICTURE)] if copy else []
    text = [(name, pa.string()) for name in ("item_id", "image_uri", "split")]
    return pa.schema([*text, *picture, *((name, LABELS) for name in attributes)])


def _items(out: Path, reading: Reading, settings: ImportSettings, journal: Journal, counts: Counts) -> set[str]:
    """Write the manifest; returns the ids in it."""
    written: set[str] = set()
    schema = _schema(reading.attributes, settings.copy_images)
    with (
        table.Table(out / folder.MANIFEST, schema) as rows,
        progress("importing", reading.total) as advance,
    ):
        for item in reading.items:
            advance()
            item_id = normal_name(item.item_id)
            if item_id in written or id_fault(item_id):
                journal.skip(_TWICE if item_id in written else _BAD_ID, f"{item.place}, item {item_id!r}")
                continue
            picture = _picture(reading.root, item, settings, journal)
            if picture is None:
                continue
            written.add(item_id)
            counts.item(item)
            row: dict[str, Any] = {"item_id": item_id, "image_uri": item.image_uri, "split": item.split}
            if settings.copy_images:
                row["image"] = picture
            rows.add({**row, **{name: list(item.labels.get(name, ())) for name in reading.attributes}}, len(picture))
    return written


def _picture(root: Path, item: Item, settings: ImportSettings, journal: Journal) -> bytes | None:
    """The picture's bytes if they are to be copied, else none; None if the item is to be left out."""
    try:
        if settings.check_images or settings.copy_images:
            find_image(item.image_uri, [str(root)])
        return read_image(item.image_uri, [str(root)]) if settings.copy_images else b""
    except ImageError as error:
        reason = _NO_PICTURE if error.code == "NOT_FOUND" else f"picture cannot be read: {error.code}"
    except OSError:
        reason = _NOT_LOOKED_FOR
    journal.skip(reason, f"{item.place}: {root / item.image_uri}")
    return None


def _nothing(place: Place, journal: Journal) -> ManifestError:
    reasons = journal.skipped.places
    if not reasons:
        return ManifestError(f"{place.path}: the set's files list no items; it is obtained from {place.obtained}")
    hints = {
        _NO_PICTURE: f"; --images names the folder that they lie in; the set is obtained from {place.obtained}",
        _OUTSIDE: "; pictures are read below one folder only, which no link may leave; --images names it",
    }
    reason = next((known for known in hints if known in reasons), next(iter(reasons)))
    return ManifestError(f"{reasons[reason][0]}: {reason}, nor can any other item be used{hints.get(reason, '')}")


def _roles(out: Path, reading: Reading, written: set[str], journal: Journal, counts: Counts) -> None:
    if reading.roles is None:
        return
    with table.Table(out / folder.ROLES, table.ROLES) as rows:
        for role in reading.roles:
            item_id, label = normal_name(role.item_id), normal_name(role.label)
            if item_id not in written:
                journal.skip(_NO_ROLE, f"{role.place}, item {item_id!r}")
                continue
            counts.role(role)
            rows.add({"item_id": item_id, "attribute": role.attribute, "role": role.role, "class": label})


def _triplets(out: Path, reading: Reading, written: set[str], journal: Journal, counts: Counts) -> None:
    if reading.triplets is None:
        return
    with table.Table(out / folder.TRIPLETS, table.TRIPLETS) as rows:
        for triplet in reading.triplets:
            row = {name: normal_name(getattr(triplet, name)) for name in table.TRIPLETS.names}
            if not {row["anchor"], row["positive"], row["negative"]} <= written:
                journal.skip(_NO_TRIPLET, triplet.place)
                continue
            counts.triplet(triplet)
            rows.add(row)
