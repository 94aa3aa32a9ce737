"""UT Zappos50K as laid out for Conditional Similarity Networks: fixed triplets by four attributes.

``filenames.json`` is plain text, a location below ``ut-zap50k-images/`` a line; its 0-based lines are the ids of
``tripletlists/<attribute>_tripletlist_<split>.txt``, whose lines are anchor, **far**, close. An item is of the split
of the triplets that it occurs in. Its class (shoes, boots, …) is the first folder of its location.

The classes of the other three attributes are in UT Zappos50K's own ``meta-data.csv`` (of ``ut-zap50k-data.zip``; its
columns are those of the set's ``readme.txt``), where the user has put it into the folder: ``CID`` is the name of the
picture's file with a dash for its dot, several classes of a cell are separated by ``;``, and an empty cell is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from .cells import cells
from .journal import Journal
from .lines import LineError, at, integers, keyed, listed, parsed
from .place import Place
from .reading import DataSet, Item, Reading, Triplet
from .settings import ImportSettings

_ATTRIBUTES = ("class", "closure", "gender", "heel")
_SPLITS = ("train", "val", "test")  # an item of several is of the first: what is trained on is not tested on
_IMAGES = "ut-zap50k-images"
_META = "meta-data.csv"
_COLUMNS = {"closure": "Closure", "gender": "Gender", "heel": "HeelHeight"}
_NO_META = f"no {_META}, so triplets by closure, gender and heel can only be counted as unknown"

Labels = Mapping[str, Sequence[str]]


class Zappos50kSettings(ImportSettings):
    """Turn UT Zappos50K with the triplets of Conditional Similarity Networks into a manifest. With UT Zappos50K's
    meta-data.csv in the folder, items have classes of closure, gender and heel too.
    """


def _read(place: Place, settings: Zappos50kSettings, journal: Journal) -> Reading:
    names = place.file("filenames.json", "tripletlists/filenames.json")
    files = [
        (split, attribute, place.file(f"tripletlists/{attribute}_tripletlist_{split}.txt"))
        for split in _SPLITS
        for attribute in _ATTRIBUTES
    ]
    pictures = [entry.removeprefix(f"{_IMAGES}/") for entry in listed(names, journal)]
    meta = place.optional(_META, f"ut-zap50k-data/{_META}")
    if meta is None:
        journal.notice(_NO_META, f"{place.path / _META}: no such file; it is in ut-zap50k-data.zip")
    labels = None if meta is None else _labels(meta, journal)
    root = place.pictures(settings.images, "", _IMAGES)
    return Reading(
        _ATTRIBUTES,
        root,
        len(pictures),
        _items(names, pictures, files, labels, journal),
        triplets=_triplets(pictures, files, journal),
    )


def _labels(path: Path, journal: Journal) -> dict[str, Labels]:
    """Name of a picture's file, without its end -> attribute -> classes."""
    pairs = (
        (number, (cid.replace("-", "."), dict(zip(_COLUMNS, map(_classes, texts), strict=True))))
        for number, (cid, *texts) in cells(path, journal, ("CID", *_COLUMNS.values()))
    )
    return keyed(path, journal, pairs)


def _classes(text: str) -> list[str]:
    """The classes of a cell, each once."""
    return list(dict.fromkeys(name for name in map(str.strip, text.split(";")) if name))


def _items(
    names: Path,
    pictures: list[str],
    files: list[tuple[str, str, Path]],
    labels: Mapping[str, Labels] | None,
    journal: Journal,
) -> Iterator[Item]:
    splits: list[set[str]] = [set() for _ in pictures]
    for split, _, path in files:
        silent = Journal()  # the lines are read again for the triplets, and told then
        for _, ids in parsed(path, silent, lambda text: _parse(text, len(pictures))):
            for entry in ids:
                splits[entry].add(split)
    for entry, picture in enumerate(pictures):
        if not picture:
            journal.skip("line without a location", at(names, entry + 1))
            continue
        if len(splits[entry]) > 1:
            journal.notice("item in the triplets of several splits", at(names, entry + 1, picture))
        own = next((split for split in _SPLITS if split in splits[entry]), None)
        known = dict(labels.get(PurePosixPath(picture).stem, {})) if labels is not None else {}
        if labels is not None and not known:
            journal.notice(f"item that {_META} does not have", at(names, entry + 1, picture))
        if "/" in picture:
            known["class"] = [picture.partition("/")[0]]
        yield Item(picture, picture, at(names, entry + 1), own, known)


def _triplets(pictures: list[str], files: list[tuple[str, str, Path]], journal: Journal) -> Iterator[Triplet]:
    for split, attribute, path in files:
        for number, (anchor, far, close) in parsed(path, journal, lambda text: _parse(text, len(pictures))):
            yield Triplet(split, attribute, pictures[anchor], pictures[close], pictures[far], at(path, number))


def _parse(text: str, count: int) -> list[int]:
    """(anchor, far, close), ids below `count`."""
    ids = integers(text)
    if len(ids) != 3:
        raise LineError("not three ids")
    if not all(0 <= entry < count for entry in ids):
        raise LineError("id out of range")
    return ids


DATA_SET = DataSet(
    "zappos50k",
    "UT Zappos50K with the triplets of CSN, 4 attributes",
    "UT Zappos50K (http://vision.cs.utexas.edu/projects/finegrained/utzap50k/; meta-data.csv is in its "
    "ut-zap50k-data.zip) and the triplets of "
    "https://github.com/andreasveit/conditional-similarity-networks",
    Zappos50kSettings,
    _read,
)
