"""Contact sheets: the same queries, with what each system found below each other, hits framed green, misses red."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from PIL import Image

from model.taxonomy import Taxonomy
from pipelines.data.images import decode
from pipelines.data.item_store import ItemStore
from pipelines.errors import DuetError

from ..contact_sheet import Cell, Group, Row, draw_sheet
from ..examples import labels
from ..items import open_items
from ..metrics import Floats
from ..neighbours import FILE, read_neighbours
from ..query_table import of_task
from ..roles import Labelled
from ..sampling import sample
from .page import Picture
from .runs import Run, System

_MEASURE = "MAP@all"  # of one query: its AP@all
_QUALITY = 88  # of JPEG
_ASKED = ("attribute", "item_id", "class")
DRAWN, DIFFER = "drawn at random", "where the systems differ most"
_NOTE = (
    "Each query (blue) with the nearest items of every system, best first: green carries what is asked for, red does "
    "not; below each what it is labelled with. Of a system with several runs, its first"
)


@dataclass(frozen=True)
class Shown:
    """What one system found.

    Attributes:
        name: of the system.
        queries: Q queries of retrieval (`..query_table`), with their scores.
        neighbours: what each of them found (`..neighbours`), in their order.
    """

    name: str
    queries: pa.Table
    neighbours: pa.Table

    @property
    def scores(self) -> Floats:
        """Q, AP@all."""
        return np.asarray(self.queries[_MEASURE].to_numpy(), np.float64)


class Pictured(Labelled, Protocol):
    """Items that can be shown: a `pipelines.data.item_store.ItemStore`, say."""

    def image(self, item: int, /) -> bytes:
        """A picture, encoded."""
        ...


def draw_sheets(systems: Sequence[System], number: int, seed: int) -> list[Picture]:
    """A sheet for each attribute.

    Args:
        systems: comparable ones; of each, the first run is shown.
        number: of queries drawn at random, and at most as many where the systems differ most.
        seed: of the draw.

    Raises:
        DuetError: an evaluation has kept no nearest items, or the pictures are not where they were.
    """
    runs = [system.runs[0] for system in systems]
    tables = [of_task(run.queries, "retrieval") for run in runs]
    shown = [
        Shown(system.name, table, _neighbours(run, table))
        for system, run, table in zip(systems, runs, tables, strict=True)
    ]
    scores = np.stack([one.scores for one in shown])
    chosen = choose(tables[0], np.ptp(scores, axis=0), number, seed, DIFFER)
    return sheets_of(shown, _items(runs[0]), chosen, f"the manifest of {runs[0].folder}")


def sheets_of(
    shown: Sequence[Shown], items: Pictured, chosen: Mapping[str, Sequence[tuple[int, str]]], source: str
) -> list[Picture]:
    """A sheet for each attribute.

    Args:
        shown: systems, which have the same queries.
        items: all that they found.
        chosen: by attribute, rows of the queries and why each was chosen (`choose`).
        source: where the items are from, for the message.

    Raises:
        DuetError: an item is not there any more.
    """
    places = {item_id: item for item, item_id in enumerate(items.item_ids)}

    def cell(item_id: str, hit: bool | None, n: int) -> Cell:
        if item_id not in places:
            raise DuetError(f"item {item_id!r} is not in {source} any more")
        return Cell(places[item_id], hit, labels(items, places[item_id], n))

    def group(query: int, why: str) -> Group:
        attribute, item_id, asked = (shown[0].queries[name][query].as_py() for name in _ASKED)
        n = items.taxonomy.position(attribute)
        own = cell(item_id, None, n)
        rows = []
        for one in shown:
            found = one.neighbours.slice(query, 1).to_pylist()[0]
            nearest = zip(found["nearest"], found["hit"], strict=True)
            caption = f"{one.name}\nAP@all {100 * one.scores[query]:.1f} %"
            rows.append(Row(caption, own, tuple(cell(other, hit, n) for other, hit in nearest)))
        return Group(f"{attribute}: {asked or own.text} — {item_id}, {why}", tuple(rows))

    pictures = []
    for attribute, queries in chosen.items():
        sheet = draw_sheet([group(*one) for one in queries], lambda item: decode(items.image(item)))
        pictures.append(Picture(f"Contact sheet: {attribute}", _NOTE, _jpeg(sheet), "jpeg"))
    return pictures


def choose(table: pa.Table, gap: Floats, number: int, seed: int, why: str) -> dict[str, list[tuple[int, str]]]:
    """Queries of each attribute to which something is relevant: (row, why it was chosen).

    Args:
        table: Q queries of retrieval.
        gap: Q; those with the greatest are chosen, of those above 0.
        number: of queries drawn at random, and at most as many by their gap.
        seed: of the draw.
        why: what is said of the latter.
    """
    attributes = np.asarray(table["attribute"].to_pylist(), dtype=object)
    possible = table["relevant"].to_numpy() > 0
    result: dict[str, list[tuple[int, str]]] = {}
    for attribute in dict.fromkeys(attributes[possible].tolist()):
        rows = np.flatnonzero((attributes == attribute) & possible)
        drawn = rows[sample(len(rows), number, seed)]
        rest = np.setdiff1d(rows, drawn)
        rest = rest[gap[rest] > 0]
        most = rest[np.argsort(-gap[rest], kind="stable")[:number]]
        result[attribute] = [(row, DRAWN) for row in drawn.tolist()] + [(row, why) for row in most.tolist()]
    return result


def _neighbours(run: Run, queries: pa.Table) -> pa.Table:
    """A run's nearest items, a row for each of its queries of retrieval."""
    table = read_neighbours(run.folder)
    if not table.select(_ASKED).equals(queries.select(_ASKED)):
        raise DuetError(f"{run.folder / FILE}: of other queries than those beside it; run `duet evaluate` again")
    return table


def _items(run: Run) -> ItemStore:
    """The items that a run has evaluated. Raises `DuetError` if they are not there any more."""
    settings = run.report["settings"]
    store, _ = open_items(
        settings["manifest"],
        Taxonomy.from_json(run.report["taxonomy"]),
        roots=settings["roots"],
        split=settings["split"],
        cache=Path(settings["cache"]) if settings["cache"] else None,
    )
    return store


def _jpeg(sheet: Image.Image) -> bytes:
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
