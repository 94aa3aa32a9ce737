"""CelebA: ``list_attr_celeba.txt``: a number, which may not be that of the rows; 40 names; a file and 40 times 1 or −1.

The binary names become attributes by *groups*: attribute -> names that are its classes; ``not NAME`` is the class of
those that lack it. The default is a configuration after the eight groups of FashionSearchNet-v2, made without its
authors' list at hand, so it may differ from theirs; ``--groups FILE`` replaces it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipelines.errors import ManifestError

from .journal import Journal
from .lines import LineError, at, count_lines, keyed, numbered, parsed
from .place import Place
from .reading import DataSet, Item, Reading
from .settings import ImportSettings

_NOT = "not "
_SPLITS = {"0": "train", "1": "val", "2": "test"}

GROUPS: Mapping[str, Sequence[str]] = {
    "hair color": ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"),
    "hair type": ("Bald", "Bangs", "Receding_Hairline", "Straight_Hair", "Wavy_Hair"),
    "beard": ("5_o_Clock_Shadow", "Goatee", "Mustache", "No_Beard", "Sideburns"),
    "smile": ("Smiling", "not Smiling"),
    "glasses": ("Eyeglasses", "not Eyeglasses"),
    "gender": ("Male", "not Male"),
    "hat": ("Wearing_Hat", "not Wearing_Hat"),
    "age": ("Young", "not Young"),
}


class CelebASettings(ImportSettings):
    """Turn CelebA's own files (aligned pictures, 40 binary attributes) into a manifest."""

    groups: Path | None = None
    """JSON file of the attributes: {"age": ["Young", "not Young"], …}; default: eight groups."""


def _read(place: Place, settings: CelebASettings, journal: Journal) -> Reading:
    path = place.file("list_attr_celeba.txt", "Anno/list_attr_celeba.txt")
    partition = place.file("list_eval_partition.txt", "Eval/list_eval_partition.txt")
    groups = GROUPS if settings.groups is None else _load(settings.groups)
    names = _names(path, journal)
    unknown = sorted({name.removeprefix(_NOT) for group in groups.values() for name in group} - set(names))
    if unknown:
        raise ManifestError(f"{path}: has no attribute {unknown[0]!r}, which the groups ask for; it has {names}")
    splits = keyed(partition, journal, parsed(partition, journal, _split))
    root = place.pictures(settings.images, "", "img_align_celeba", "Img/img_align_celeba")
    return Reading(tuple(groups), root, count_lines(path) - 2, _items(path, names, groups, splits, journal))


def _load(path: Path) -> dict[str, list[str]]:
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: not readable groups ({error})") from error
    lists = isinstance(groups, dict) and groups and all(isinstance(names, list) and names for names in groups.values())
    if not lists or not all(isinstance(name, str) for names in groups.values() for name in names):
        raise ManifestError(f'{path}: groups are {{"attribute": ["Name", "not Name", …], …}}')
    return {str(attribute): names for attribute, names in groups.items()}


def _names(path: Path, journal: Journal) -> list[str]:
    """The names in line 2; and a note if line 1 is not the number of rows."""
    names: list[str] = []
    stated, rows = "", 0
    for number, text in numbered(path, journal):
        if number == 1:
            stated = text.strip()
        elif number == 2:
            names = text.split()
        elif text.strip():
            rows += 1
    if not stated.isdigit() or not names or names[0].endswith(".jpg"):
        raise ManifestError(f"{path}: begins with no number and line of names")
    if int(stated) != rows:
        journal.notice(f"line 1 does not state the number of rows, {rows}", at(path, 1, stated))
    return names


def _split(text: str) -> tuple[str, str]:
    picture, split = text.split()
    if split not in _SPLITS:
        raise LineError("a split that is not 0, 1 or 2")
    return picture, _SPLITS[split]


def _items(
    path: Path,
    names: list[str],
    groups: Mapping[str, Sequence[str]],
    splits: Mapping[str, str],
    journal: Journal,
) -> Iterator[Item]:
    def parse(text: str) -> tuple[str, set[str]]:
        picture, *values = text.split()
        if len(values) != len(names) or not set(values) <= {"1", "-1"}:
            raise LineError(f"not a file and {len(names)} values of 1 or -1")
        return picture, {n if v == "1" else _NOT + n for n, v in zip(names, values, strict=True)}

    for number, (picture, carried) in parsed(path, journal, parse, 3):
        labels = {attribute: [name for name in group if name in carried] for attribute, group in groups.items()}
        if picture not in splits:
            journal.notice("item without a split", at(path, number, picture))
        yield Item(picture, picture, at(path, number), splits.get(picture), labels)


DATA_SET = DataSet(
    "celeba",
    "CelebA, faces, 40 binary attributes in 8 groups",
    "the CelebA project (http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html)",
    CelebASettings,
    _read,
)
