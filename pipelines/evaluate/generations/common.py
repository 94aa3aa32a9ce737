"""What generations have in common: attributes and classes that can be compared, and items that all of them hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from model.taxonomy import Attribute, Taxonomy
from pipelines.errors import StoreError

from ..sampling import sample


@dataclass(frozen=True)
class CommonItems:
    """N items of a catalogue, as their rows label them; `pipelines.evaluate.roles.Labelled` fits.

    Attributes:
        item_ids: N, ascending.
        carried: N×ΣM bool, the labels; classes that are not in common are left out.
        known: N×A bool, whether an item is labelled for the attribute with a class that is in common.
        taxonomy: what the generations have in common.
        thumbnails: N pictures, encoded; None where a row has none.
    """

    item_ids: list[str]
    carried: NDArray[np.bool_]
    known: NDArray[np.bool_]
    taxonomy: Taxonomy
    thumbnails: list[bytes | None]

    def __len__(self) -> int:
        return len(self.item_ids)

    def image(self, item: int) -> bytes:
        """An item's picture, encoded. Raises `StoreError` if its row has none."""
        thumbnail = self.thumbnails[item]
        if thumbnail is None:
            raise StoreError(f"item {self.item_ids[item]!r} has no thumbnail in the index")
        return thumbnail


def common_taxonomy(taxonomies: Sequence[Taxonomy]) -> tuple[Taxonomy | None, list[str]]:
    """The attributes and classes that all have, as the first orders them; and what is left out, in words.

    None where they have no attribute in common, single-label in one as in the other.
    """
    first, *others = taxonomies
    attributes, left_out = [], []
    for attribute in first.attributes:
        theirs = [other.attribute(attribute.name) for other in others if attribute.name in other.names]
        classes = tuple(name for name in attribute.classes if all(name in one.classes for one in theirs))
        if len(theirs) < len(others) or not classes:
            left_out.append(attribute.name)
        elif any(one.multi_label != attribute.multi_label for one in theirs):
            left_out.append(f"{attribute.name} (multi-label in one, not in the other)")
        else:
            attributes.append(Attribute(attribute.name, classes, attribute.multi_label))
            every = {name for one in (attribute, *theirs) for name in one.classes}
            left_out += [f"{attribute.name}: {name}" for name in sorted(every.difference(classes))]
    left_out += [name for name in dict.fromkeys(n for other in others for n in other.names) if name not in first.names]
    return (Taxonomy(tuple(attributes)) if attributes else None), left_out


def draw_items(ledgers: Sequence[pa.Table], taxonomy: Taxonomy, number: int, seed: int) -> list[str]:
    """At most so many ids that all ledgers have, ascending: of labelled items first, then of others.

    Args:
        ledgers: item_id of each generation; the first also has labels.
        taxonomy: whose attributes count as labels.
        number: of items.
        seed: of the draw.
    """
    first, *others = ledgers
    for other in others:
        first = first.filter(pc.is_in(first["item_id"], value_set=other["item_id"].combine_chunks()))
    first = first.sort_by("item_id")
    labelled = np.zeros(len(first), bool)
    kind = first.schema.field("labels").type
    for name in taxonomy.names:
        if kind.get_field_index(name) >= 0:
            length = pc.list_value_length(pc.struct_field(first["labels"], [kind.get_field_index(name)]))
            labelled |= np.asarray(pc.fill_null(length, 0)) > 0
    places = np.flatnonzero(labelled)
    chosen = places[sample(len(places), number, seed)]
    rest = np.flatnonzero(~labelled)
    chosen = np.sort(np.concatenate([chosen, rest[sample(len(rest), number - len(chosen), seed)]]))
    ids: list[str] = first["item_id"].take(pa.array(chosen)).to_pylist()
    return ids


def read_labels(rows: pa.Table, taxonomy: Taxonomy) -> CommonItems:
    """Items from their rows in ``items``: item_id, labels, thumbnail."""
    rows = rows.sort_by("item_id")
    carried = np.zeros((len(rows), taxonomy.class_count), bool)
    known = np.zeros((len(rows), len(taxonomy.attributes)), bool)
    for row, labels in enumerate(rows["labels"].to_pylist()):
        for n, attribute in enumerate(taxonomy.attributes):
            for name in (labels or {}).get(attribute.name) or ():
                if name in attribute.classes:
                    carried[row, taxonomy.class_index(attribute.name, name)] = known[row, n] = True
    return CommonItems(rows["item_id"].to_pylist(), carried, known, taxonomy, rows["thumbnail"].to_pylist())
