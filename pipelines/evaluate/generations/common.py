"""What generations have in common: attributes and classes that can be compared, and items that all of them hold."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from model.taxonomy import Attribute, Taxonomy
from pipelines.index.schema import LIVE

from ..sampling import sample


@dataclass(frozen=True)
class CommonTaxonomy:
    """Attributes that all generations have.

    Attributes:
        taxonomy: with every class that any of them knows, the first's in its order, since all make tiers in a ranking.
        compared: ΣM bool, the classes that all of them know: what labels count.
        left_out: attributes and classes that are not compared, in words.
    """

    taxonomy: Taxonomy
    compared: NDArray[np.bool_]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class CommonItems:
    """N items of a catalogue, as their rows label them; `pipelines.evaluate.roles.Labelled` fits.

    Attributes:
        item_ids: N, ascending.
        carried: N×ΣM bool, the labels, of compared classes alone.
        known: N×A bool, whether an item is labelled for the attribute with a compared class.
        taxonomy: see `CommonTaxonomy`.
        thumbnails: N pictures, encoded; None where a row has none.
    """

    item_ids: list[str]
    carried: NDArray[np.bool_]
    known: NDArray[np.bool_]
    taxonomy: Taxonomy
    thumbnails: list[bytes | None]

    def __len__(self) -> int:
        return len(self.item_ids)

    def image(self, item: int, /) -> bytes:
        """An item's picture, encoded; a grey one where its row has none."""
        return self.thumbnails[item] or _grey()


@dataclass(frozen=True)
class Ledger:
    """The items of a generation: what tells which of them others hold as well.

    Attributes:
        ids: N.
        keys: N, an item's id with the beginning of its picture's hash.
        labelled: N bool, whether the row has a label for one of the attributes.
    """

    ids: pa.ChunkedArray
    keys: pa.ChunkedArray
    labelled: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


def common_taxonomy(taxonomies: Sequence[Taxonomy]) -> CommonTaxonomy | None:
    """What can be compared; None where no attribute of all has a class of all, single-label in one as in the other."""
    first, *others = taxonomies
    attributes, compared, left_out = [], [], []
    for attribute in first.attributes:
        theirs = [other.attribute(attribute.name) for other in others if attribute.name in other.names]
        shared = [name for name in attribute.classes if all(name in one.classes for one in theirs)]
        if len(theirs) < len(others) or not shared:
            left_out.append(attribute.name)
        elif any(one.multi_label != attribute.multi_label for one in theirs):
            left_out.append(f"{attribute.name} (multi-label in one, not in the other)")
        else:
            classes = tuple(dict.fromkeys(name for one in (attribute, *theirs) for name in one.classes))
            attributes.append(Attribute(attribute.name, classes, attribute.multi_label))
            compared += [name in shared for name in classes]
            left_out += [f"{attribute.name}: {name}" for name in classes if name not in shared]
    left_out += [name for name in dict.fromkeys(n for other in others for n in other.names) if name not in first.names]
    if not attributes:
        return None
    return CommonTaxonomy(Taxonomy(tuple(attributes)), np.asarray(compared), tuple(left_out))


def read_ledger(items: lance.LanceDataset, attributes: Sequence[str]) -> Ledger:
    """The ledger of a generation, from its table ``items``; labels are looked at a batch at a time, and not kept."""
    ids, keys, labelled = [], [], [np.empty(0, bool)]
    for batch in items.to_batches(columns=["item_id", "image_hash", "labels"], filter=LIVE):
        labels = batch["labels"]
        has = np.zeros(len(batch), bool)
        for name in attributes:
            place = labels.type.get_field_index(name)
            if place >= 0:
                length = pc.list_value_length(pc.struct_field(labels, [place]))
                has |= pc.fill_null(length, 0).to_numpy(zero_copy_only=False) > 0
        ids.append(batch["item_id"])
        beginning = pc.utf8_slice_codeunits(pc.fill_null(batch["image_hash"], ""), 0, 16)
        keys.append(pc.binary_join_element_wise(batch["item_id"], beginning, "\x00"))
        labelled.append(has)
    return Ledger(pa.chunked_array(ids, pa.string()), pa.chunked_array(keys, pa.string()), np.concatenate(labelled))


def draw_items(ledgers: Sequence[Ledger], number: int, seed: int) -> tuple[list[str], int]:
    """At most so many ids that all ledgers have with the same picture, ascending: of labelled items first.

    Args:
        ledgers: of the generations; the first tells what is labelled.
        number: of items.
        seed: of the draw.

    Returns:
        The ids, and of how many they were drawn.
    """
    first, *others = ledgers
    common = np.ones(len(first), bool)
    for other in others:
        common &= pc.is_in(first.keys, value_set=other.keys.combine_chunks()).to_numpy()
    places = np.flatnonzero(common)
    ids = first.ids.take(pa.array(places))
    order = pc.sort_indices(ids).to_numpy()  # rows come in no particular order
    ids, labelled = ids.take(pa.array(order)), first.labelled[places][order]
    of_labelled, rest = np.flatnonzero(labelled), np.flatnonzero(~labelled)
    chosen = of_labelled[sample(len(of_labelled), number, seed)]
    chosen = np.sort(np.concatenate([chosen, rest[sample(len(rest), number - len(chosen), seed)]]))
    drawn: list[str] = ids.take(pa.array(chosen)).to_pylist()
    return drawn, len(places)


def read_labels(rows: pa.Table, common: CommonTaxonomy) -> CommonItems:
    """Items from their rows in ``items``: item_id, labels, and thumbnail if it is wanted."""
    rows, taxonomy = rows.sort_by("item_id"), common.taxonomy
    carried = np.zeros((len(rows), taxonomy.class_count), bool)
    for row, labels in enumerate(rows["labels"].to_pylist()):
        for attribute in taxonomy.attributes:
            for name in (labels or {}).get(attribute.name) or ():
                if name in attribute.classes:
                    carried[row, taxonomy.class_index(attribute.name, name)] = True
    carried &= common.compared
    known = np.add.reduceat(carried, taxonomy.offsets[:-1], axis=1, dtype=np.int64) > 0
    has_pictures = "thumbnail" in rows.column_names
    thumbnails = rows["thumbnail"].to_pylist() if has_pictures else [None] * len(rows)
    return CommonItems(rows["item_id"].to_pylist(), carried, known, taxonomy, thumbnails)


@cache
def _grey() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (190, 190, 190)).save(stream, "PNG")
    return stream.getvalue()
