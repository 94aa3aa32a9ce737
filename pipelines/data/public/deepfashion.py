"""DeepFashion, category and attribute prediction, coarse attributes, as it is handed out.

``Anno_coarse/`` (``Anno/`` in the first release) has ``list_attr_cloth.txt`` (see `cloth_attributes`) and
``list_attr_img.txt``: a count, a header, then a location and for each class 1 = yes, −1 = no, 0 = unknown. Classes are
multi-label; what is not 1 is not carried. ``Eval/list_eval_partition.txt`` has the splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .cloth_attributes import FILES, TYPES, read_cloth_attributes
from .journal import Journal
from .lines import LineError, at, keyed, parsed
from .place import Place
from .reading import DataSet, Item, Reading
from .settings import ImportSettings

_FIRST = 3  # the first line that is no header
_SPLITS = ("train", "val", "test")


class DeepFashionSettings(ImportSettings):
    """Turn DeepFashion's own files (category and attribute prediction, coarse attributes) into a manifest."""


def _read(place: Place, settings: DeepFashionSettings, journal: Journal) -> Reading:
    classes = read_cloth_attributes(place.file(*FILES), journal)
    images = place.file("Anno_coarse/list_attr_img.txt", "Anno/list_attr_img.txt", "list_attr_img.txt")
    partition = place.file("Eval/list_eval_partition.txt", "list_eval_partition.txt")
    splits = keyed(partition, journal, parsed(partition, journal, _split, _FIRST))
    root = place.pictures(settings.images, "img", "", "Img")
    return Reading(TYPES, root, len(splits), _items(images, classes, splits, journal))


def _split(text: str) -> tuple[str, str]:
    picture, split = text.rsplit(None, 1)
    if split not in _SPLITS:
        raise LineError("a split that is not train, val or test")
    return picture.strip(), split


def _items(path: Path, classes: list[tuple[int, str]], splits: dict[str, str], journal: Journal) -> Iterator[Item]:
    def parse(text: str) -> tuple[str, list[int]]:
        picture, *values = text.rsplit(None, len(classes))
        if len(values) != len(classes) or not set(values) <= {"1", "-1", "0"}:
            raise LineError(f"not a location and {len(classes)} values of 1, -1 or 0")
        return picture.strip(), [place for place, value in enumerate(values) if value == "1"]

    for number, (picture, carried) in parsed(path, journal, parse, _FIRST):
        labels: dict[str, list[str]] = {}
        for kind, name in map(classes.__getitem__, carried):
            labels.setdefault(TYPES[kind], []).append(name)
        if picture not in splits:
            journal.notice("item without a split", at(path, number, picture))
        yield Item(picture, picture, at(path, number), splits.get(picture), labels)


DATA_SET = DataSet(
    "deepfashion",
    "DeepFashion, 1,000 coarse classes of 5 attributes",
    "the DeepFashion project, Category and Attribute Prediction Benchmark "
    "(http://mmlab.ie.cuhk.edu.hk/projects/DeepFashion.html)",
    DeepFashionSettings,
    _read,
)
