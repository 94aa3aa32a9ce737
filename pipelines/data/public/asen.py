"""The layout in which ASEN's authors hand out splits of FashionAI, DARN and DeepFashion.

``meta.json`` has {set: {ATTRIBUTES: names, ATTRIBUTES_NUM: name -> number of classes}} (in the first release, the
inner object alone). In the set's folder ``filenames_{train,valid,test}.txt`` lists locations; the 0-based line is the
id within the split, so an item is ``test/17``. ``label_train.txt`` has ``id a v [a v …]``, ``query_*.txt`` and
``candidate_*.txt`` ``id a v``: attribute and class, both 0-based.

DeepFashion also has ``label_{valid,test}.txt``, ``id (type g)*`` with types from **1** and g the 0-based line in
``list_attr_cloth.txt``: all classes of an item, of which the lists have one each. There the v-th class of a type is
taken to be the v-th of its lines; the report tells if the lists and the labels contradict that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from pipelines.errors import ManifestError

from .cloth_attributes import FILES, read_cloth_attributes
from .fashionai import CLASSES
from .journal import Journal
from .lines import LineError, at, integers, listed, parsed
from .place import Place
from .reading import DataSet, Item, Reading, Role
from .settings import ImportSettings

_SPLITS = {"train": "train", "valid": "val", "test": "test"}
_LISTS: dict[str, Literal["query", "gallery"]] = {"query": "query", "candidate": "gallery"}

Labels = dict[int, dict[str, list[str]]]  # id within the split -> attribute -> classes


class AsenSettings(ImportSettings):
    """Turn a set in ASEN's layout (FashionAI, DARN or DeepFashion) into a manifest, with its queries and candidates."""

    set_name: str = "FashionAI"
    """The set: its name in meta.json and its folder."""


class _Classes:
    """Attributes and classes by their numbers.

    Args:
        attributes: names, in order.
        names: of the classes of each.
        cloth: (attribute, class) of each line in list_attr_cloth.txt, if the set has it.
    """

    def __init__(self, attributes: list[str], names: list[list[str]], cloth: list[tuple[int, str]]) -> None:
        self.attributes, self._names, self._cloth = attributes, names, cloth

    def pair(self, a: int, v: int) -> tuple[str, str]:
        """Attribute and class by 0-based numbers."""
        if not 0 <= a < len(self.attributes) or not 0 <= v < len(self._names[a]):
            raise LineError("attribute or class out of range")
        return self.attributes[a], self._names[a][v]

    def cloth_pair(self, kind: int, g: int) -> tuple[str, str]:
        """Attribute and class by the 1-based type and the 0-based line."""
        if not 0 <= g < len(self._cloth):
            raise LineError("line of list_attr_cloth.txt out of range")
        if self._cloth[g][0] != kind - 1:
            raise LineError("type is not the one that list_attr_cloth.txt has")
        return self.attributes[kind - 1], self._cloth[g][1]


def _read(place: Place, settings: AsenSettings, journal: Journal) -> Reading:
    name = settings.set_name
    folder = place.file(f"{name}/filenames_train.txt", "filenames_train.txt").parent
    here = Place(folder, place.obtained)
    classes = _classes(place, here, name, journal)
    pictures = {split: listed(here.file(f"filenames_{split}.txt"), journal) for split in _SPLITS}
    lists = [(split, part, here.file(f"{part}_{split}.txt")) for split in ("valid", "test") for part in _LISTS]
    labels = {split: _labels(here, split, len(pictures[split]), lists, classes, journal) for split in _SPLITS}

    def items() -> Iterator[Item]:
        for split, locations in pictures.items():
            path = folder / f"filenames_{split}.txt"
            for entry, location in enumerate(locations):
                if location:
                    known = labels[split].get(entry, {})
                    yield Item(f"{split}/{entry}", location, at(path, entry + 1), _SPLITS[split], known)
                else:
                    journal.skip("line without a location", at(path, entry + 1))

    def roles() -> Iterator[Role]:
        for split, part, path in lists:
            for number, (entry, pairs) in parsed(path, journal, _of_list(len(pictures[split]), classes)):
                attribute, label = pairs[0]
                if label not in labels[split].get(entry, {}).get(attribute, ()):
                    journal.notice("class of a query or candidate that its labels lack", at(path, number))
                yield Role(f"{split}/{entry}", attribute, _LISTS[part], label, at(path, number))

    root = place.pictures(settings.images, "", str(folder.relative_to(place.path)))
    return Reading(tuple(classes.attributes), root, sum(map(len, pictures.values())), items(), roles())


def _labels(
    here: Place,
    split: str,
    count: int,
    lists: list[tuple[str, str, Path]],
    classes: _Classes,
    journal: Journal,
) -> Labels:
    """All labels of a split; without a label file, those of its queries and candidates."""
    path = here.file("label_train.txt") if split == "train" else here.optional(f"label_{split}.txt")
    labels: Labels = {}
    if path is not None:
        pair = classes.pair if split == "train" else classes.cloth_pair
        sources = [parsed(path, journal, lambda text: _pairs(text, count, pair))]
    else:
        silent = Journal()  # the lists are read again for the roles, and told then
        sources = [parsed(path, silent, _of_list(count, classes)) for own, _, path in lists if own == split]
    for source in sources:
        for _, (entry, pairs) in source:
            for attribute, label in pairs:
                carried = labels.setdefault(entry, {}).setdefault(attribute, [])
                if label not in carried:
                    carried.append(label)
    return labels


def _of_list(count: int, classes: _Classes) -> Callable[[str], tuple[int, list[tuple[str, str]]]]:
    def parse(text: str) -> tuple[int, list[tuple[str, str]]]:
        entry, pairs = _pairs(text, count, classes.pair)
        if len(pairs) != 1:
            raise LineError("not an id, an attribute and a class")
        return entry, pairs

    return parse


def _pairs(text: str, count: int, pair: Callable[[int, int], tuple[str, str]]) -> tuple[int, list[tuple[str, str]]]:
    """(id, (attribute, class) of each pair) of a line; ids are below `count`."""
    entry, *numbers = integers(text)
    if len(numbers) % 2:
        raise LineError("not an id and pairs of attribute and class")
    if not 0 <= entry < count:
        raise LineError("id out of range")
    return entry, [pair(a, v) for a, v in zip(numbers[::2], numbers[1::2], strict=True)]


def _classes(place: Place, here: Place, name: str, journal: Journal) -> _Classes:
    metas = here.path.parent / "meta.json", here.path / "meta.json"
    path = next((path for path in metas if path.is_file()), None)
    if path is None:
        raise here.missing(*metas)
    attributes, sizes, values = _meta(path, name, journal)
    cloth_path = here.optional(*FILES) or place.optional(*FILES)
    if cloth_path is None and here.optional("label_valid.txt", "label_test.txt"):
        raise here.missing(*(here.path / file for file in FILES))
    cloth = read_cloth_attributes(cloth_path, journal) if cloth_path else []
    if cloth:
        names = [[label for kind, label in cloth if kind == n] for n in range(len(attributes))]
        if list(map(len, names)) != sizes:
            raise ManifestError(f"{cloth_path}: has {list(map(len, names))} classes by type, but {path} states {sizes}")
        return _Classes(attributes, names, cloth)
    names = []
    for attribute, size in zip(attributes, sizes, strict=True):
        known = values.get(attribute) or CLASSES.get(attribute, ())
        names.append(list(known) if len(known) == size else [str(v) for v in range(size)])
    return _Classes(attributes, names, [])


def _meta(path: Path, name: str, journal: Journal) -> tuple[list[str], list[int], dict[str, list[str]]]:
    """Attributes, how many classes each has, and the names of the classes of those that have some."""
    journal.opened(path)
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: not readable JSON ({error})") from error
    if isinstance(content, dict) and "ATTRIBUTES" not in content and name not in content:
        raise ManifestError(f"{path}: has no set {name!r}; --set-name names one of: {', '.join(content)}")
    try:
        content = content if "ATTRIBUTES" in content else content[name]
        attributes = [str(attribute) for attribute in content["ATTRIBUTES"]]
        sizes = [int(content["ATTRIBUTES_NUM"][attribute]) for attribute in attributes]
        values = {key: list(map(str, names)) for key, names in content.get("ATTRIBUTES_VALUES", {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ManifestError(f"{path}: lacks ATTRIBUTES or ATTRIBUTES_NUM of {name!r} ({error!r})") from error
    return attributes, sizes, values


DATA_SET = DataSet(
    "asen",
    "FashionAI, DARN or DeepFashion in ASEN's layout (--set-name)",
    "ASEN's authors, splits and lists (https://github.com/Maryeon/asen, https://github.com/Maryeon/asenpp); the "
    "pictures from the makers of the set",
    AsenSettings,
    _read,
)
