"""FashionAI as it is handed out: ``<train1|train2|base>/Annotations/label.csv`` beside ``Images/``.

A row is ``Images/<attribute>_labels/<file>.jpg,<attribute>_labels,<marks>``; the n-th mark is the n-th class's:
y = yes, m = maybe, n = no. Every row labels one attribute. The set has no public test split, so items are split 8:1:1
by the hash of the picture's file name, which keeps a picture that is labelled for two attributes in one split.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pipelines.errors import ManifestError

from .journal import Journal
from .lines import LineError, at, count_lines, parsed
from .place import Place
from .reading import DataSet, Item, Reading, split_by_hash
from .settings import ImportSettings

_LABELS = "Annotations/label.csv"

# In the order of the marks, as the set's description has them.
CLASSES = {
    "skirt_length": ("Invisible", "Short Length", "Knee Length", "Midi Length", "Ankle Length", "Floor Length"),
    "sleeve_length": (
        *("Invisible", "Sleeveless", "Cup Sleeves", "Short Sleeves", "Elbow Sleeves", "3/4 Sleeves", "Wrist Length"),
        *("Long Sleeves", "Extra Long Sleeves"),
    ),
    "coat_length": (
        *("Invisible", "High Waist Length", "Regular Length", "Long Length", "Micro Length", "Knee Length"),
        *("Midi Length", "Ankle&Floor Length"),
    ),
    "pant_length": ("Invisible", "Short Pant", "Mid Length", "3/4 Length", "Cropped Pant", "Full Length"),
    "collar_design": ("Invisible", "Shirt Collar", "Peter Pan", "Puritan Collar", "Rib Collar"),
    "lapel_design": ("Invisible", "Notched", "Collarless", "Shawl Collar", "Plus Size Shawl"),
    "neckline_design": (
        *("Invisible", "Strapless Neck", "Deep V Neckline", "Straight Neck", "V Neck", "Square Neckline"),
        *("Off Shoulder", "Round Neckline", "Sweat Heart Neck", "OneShoulder Neckline"),
    ),
    "neck_design": ("Invisible", "Turtle Neck", "Ruffle Semi-High Collar", "Low Turtle Neck", "Draped Collar"),
}


class FashionAISettings(ImportSettings):
    """Turn FashionAI's own files (attribute recognition, 2018) into a manifest."""

    maybe: Literal["ignore", "carry"] = "ignore"
    """Classes marked m (maybe): ignore: an item has the class marked y only; carry: it carries those marked m too."""


def _read(place: Place, settings: FashionAISettings, journal: Journal) -> Reading:
    try:
        folders = [folder for folder in (place.path, *sorted(place.path.iterdir())) if (folder / _LABELS).is_file()]
    except OSError as error:
        raise ManifestError(f"{error.filename or place.path}: cannot be read ({error.strerror})") from error
    if not folders:
        raise place.missing(*(place.path / name / _LABELS for name in ("train1", "train2", "base")))
    root = place.pictures(settings.images, "", "")
    total = sum(count_lines(folder / _LABELS) for folder in folders)
    return Reading(tuple(CLASSES), root, total, _items(place.path, folders, settings.maybe, journal))


def _items(path: Path, folders: list[Path], maybe: str, journal: Journal) -> Iterator[Item]:
    for folder in folders:
        labels = folder / _LABELS
        for number, (picture, attribute, marks) in parsed(labels, journal, _parse):
            carried = {"y"} if maybe == "ignore" else {"y", "m"}
            classes = [name for name, mark in zip(CLASSES[attribute], marks, strict=True) if mark in carried]
            if not classes:
                journal.skip("row without a class", at(labels, number, marks))
                continue
            uri = picture if folder == path else f"{folder.name}/{picture}"
            split = split_by_hash(picture.rpartition("/")[2])
            yield Item(uri, uri, at(labels, number), split, {attribute: classes})


def _parse(text: str) -> tuple[str, str, str]:
    """(location, attribute, marks) of a row."""
    picture, task, marks = (cell.strip() for cell in text.split(","))
    attribute = task.removesuffix("_labels")
    if attribute not in CLASSES:
        raise LineError("attribute that FashionAI does not have")
    if len(marks) != len(CLASSES[attribute]) or set(marks) - set("nmy") or marks.count("y") > 1:
        raise LineError("marks are not one of n, m, y for each class, with one y at most")
    return picture, attribute, marks


DATA_SET = DataSet(
    "fashionai",
    "FashionAI, 8 attributes, one label a picture",
    "Tianchi's FashionAI challenge of 2018, attribute recognition (https://tianchi.aliyun.com/competition/entrance/231671)",
    FashionAISettings,
    _read,
)
