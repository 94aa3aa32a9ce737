"""Shopping100k with ADDE's splits: ``imgs_{train,test}.txt``, ``labels_{train,test}.txt``, ``attr_num.txt``.

The n-th line of the labels is of the n-th picture: zeros and a one at most for each attribute in turn; all zeros =
unknown. ``attr_num.txt`` has the number of classes of each attribute. The classes have no names; they are called by
their number. That the twelve attributes stand in alphabetical order is inferred from their numbers of classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines.errors import ManifestError

from .journal import Journal
from .lines import LineError, at, integers, listed, numbered, parsed
from .place import Place
from .reading import DataSet, Item, Reading
from .settings import ImportSettings

_NAMES = (
    *("category", "collar", "color", "fabric", "fastening", "fit"),
    *("gender", "neckline", "pattern", "pocket", "sleeve", "sport"),
)
_SIZES = [16, 17, 19, 14, 10, 15, 2, 11, 16, 7, 9, 15]
_SPLITS = ("train", "test")


class Shopping100kSettings(ImportSettings):
    """Turn Shopping100k, as split for ADDE, into a manifest."""


def _read(place: Place, settings: Shopping100kSettings, journal: Journal) -> Reading:
    sizes = _sizes(place.file("attr_num.txt"), journal)
    names = _NAMES if sizes == _SIZES else tuple(f"attribute {n}" for n in range(len(sizes)))
    files = {split: (place.file(f"imgs_{split}.txt"), place.file(f"labels_{split}.txt")) for split in _SPLITS}
    pictures = {split: listed(images, journal) for split, (images, _) in files.items()}
    for split, (images, labels) in files.items():
        rows = len(listed(labels, journal))
        if rows != len(pictures[split]):
            raise ManifestError(f"{labels}: has {rows} rows for the {len(pictures[split])} pictures of {images}")
    total = sum(map(len, pictures.values()))
    root = place.pictures(settings.images, "", "")

    def items() -> Iterator[Item]:
        for split, (images, labels) in files.items():
            for number, classes in parsed(labels, journal, lambda text: _one_hot(text, sizes)):
                picture = pictures[split][number - 1]
                if not picture:
                    journal.skip("line without a location", at(images, number))
                    continue
                carried = {n: [str(m)] for n, m in zip(names, classes, strict=True) if m is not None}
                yield Item(picture, picture, at(labels, number), split, carried)

    return Reading(names, root, total, items())


def _sizes(path: Path, journal: Journal) -> list[int]:
    text = " ".join(text for _, text in numbered(path, journal))
    try:
        sizes = integers(text.strip("[] ").replace(",", " "))
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise ManifestError(f"{path}: not a list of numbers of classes")
    return sizes


def _one_hot(text: str, sizes: list[int]) -> list[int | None]:
    """The class of each attribute; None = unknown."""
    values = text.split()
    if len(values) != sum(sizes) or not set(values) <= {"0", "1"}:
        raise LineError(f"not {sum(sizes)} zeros and ones")
    classes: list[int | None] = []
    start = 0
    for size in sizes:
        part = values[start : start + size]
        if part.count("1") > 1:
            raise LineError("several classes of one attribute")
        classes.append(part.index("1") if "1" in part else None)
        start += size
    return classes


DATA_SET = DataSet(
    "shopping100k",
    "Shopping100k with ADDE's splits, 12 attributes",
    "its author (https://sites.google.com/view/kenanemirak/home); the splits from "
    "https://github.com/amzn/fashion-attribute-disentanglement (splits/Shopping100k, with Git LFS)",
    Shopping100kSettings,
    _read,
)
