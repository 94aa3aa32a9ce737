"""iMaterialist (Fashion) 2018: ``train.json``, ``validation.json`` and the label map with the names.

An annotation is ``{imageId, labelId: […]}``, ids as text or numbers. The label map is a CSV of labelId, taskId,
labelName, taskName, with quoted commas; a task is an attribute, and there is no task 7. Image ids begin anew in each
split, so the item is ``train/1``. The test split has no labels and is not read. The pictures come as addresses, and
where their files lie is the downloader's choice: ``--pictures`` tells.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.errors import ManifestError

from .cells import cells
from .journal import Journal
from .place import Place
from .reading import DataSet, Item, Reading
from .settings import ImportSettings

_LABEL_MAP = "iMat_fashion_2018_label_map_228.csv"
_COLUMNS = ("labelId", "taskId", "labelName", "taskName")
_SPLITS = {"train": "train", "validation": "val"}


class IMaterialist2018Settings(ImportSettings):
    """Turn iMaterialist (Fashion) 2018 into a manifest. Its annotations are held in memory while they are read."""

    label_map: Path | None = None
    """CSV of labelId, taskId, labelName, taskName; default: iMat_fashion_2018_label_map_228.csv in the folder."""
    pictures: str = "{file}/{id}.jpg"
    """Where a picture lies; {file} is train or validation."""


def _read(place: Place, settings: IMaterialist2018Settings, journal: Journal) -> Reading:
    map_path = settings.label_map or place.file(_LABEL_MAP)
    if not map_path.is_file():
        raise place.missing(map_path)
    files = {file: place.file(f"{file}.json") for file in _SPLITS}
    names = _label_map(map_path, journal)
    attributes = tuple(dict.fromkeys(attribute for attribute, _ in names.values()))
    annotations = {file: _annotations(path, journal) for file, path in files.items()}

    def items() -> Iterator[Item]:
        for file, path in files.items():
            for number, (image, ids) in enumerate(annotations[file], 1):
                where = f"{path}, annotation {number}"
                if not image or ids is None:
                    journal.skip("annotation without imageId or a list of labelId", where)
                    continue
                uri = settings.pictures.replace("{file}", file).replace("{id}", image)
                yield Item(f"{file}/{image}", uri, where, _SPLITS[file], _labels(ids, names, where, journal))

    root = place.pictures(settings.images, "", "")
    return Reading(attributes, root, sum(map(len, annotations.values())), items())


def _labels(
    ids: tuple[str, ...], names: Mapping[str, tuple[str, str]], where: str, journal: Journal
) -> dict[str, list[str]]:
    labels: dict[str, list[str]] = {}
    for label in ids:
        if label in names:
            attribute, name = names[label]
            labels.setdefault(attribute, []).append(name)
        else:
            journal.skip("label that the label map does not have", f"{where}: {label!r}")
    return labels


def _label_map(path: Path, journal: Journal) -> dict[str, tuple[str, str]]:
    """Label id -> (attribute, class), attributes in the order of their task ids."""
    found: list[tuple[int, str, str, str]] = []
    for number, (label, task, name, attribute) in cells(path, journal, _COLUMNS):
        if not task.isdecimal() or not label or not name or not attribute:
            raise ManifestError(f"{path}, line {number}: not a label and its task, with their names")
        found.append((int(task), label, attribute, name))
    return {label: (attribute, name) for _, label, attribute, name in sorted(found, key=lambda row: row[0])}


def _annotations(path: Path, journal: Journal) -> list[tuple[str, tuple[str, ...] | None]]:
    """(image id, label ids or None) of each annotation; '' for an image id that is missing."""
    journal.opened(path)
    try:
        content = json.loads(path.read_bytes(), object_hook=_compact)
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: not readable JSON ({error})") from error
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(annotations, list):
        raise ManifestError(f'{path}: not an object with "annotations"; the test split has none')
    return [entry if isinstance(entry, tuple) else ("", None) for entry in annotations]


def _compact(value: dict[str, Any]) -> object:
    """A million annotations as tuples of shared strings, and images as nothing: a tenth of the memory."""
    if "labelId" in value:
        ids = value["labelId"]
        labels = tuple(sys.intern(str(label)) for label in ids) if isinstance(ids, list) else None
        image = value.get("imageId")
        return ("" if image is None else str(image), labels)
    return None if "url" in value else value


DATA_SET = DataSet(
    "imaterialist2018",
    "iMaterialist (Fashion) 2018, 228 classes of 8 attributes",
    "Kaggle's iMaterialist Challenge (Fashion) at FGVC5, 2018 "
    "(https://www.kaggle.com/c/imaterialist-challenge-fashion-2018); the label map from its forum",
    IMaterialist2018Settings,
    _read,
)
