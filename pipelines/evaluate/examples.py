"""Examples for the contact sheets: a few queries of each attribute and what they found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.manipulation import ManipulationHead
from model.taxonomy import Taxonomy

from .contact_sheet import Cell, Group, Row
from .embedded import Embedded
from .manipulation import ManipulationGallery, ManipulationResult, match
from .retrieval import AttributeQueries, RetrievalResult
from .roles import Labelled, Roles
from .sampling import sample
from .settings import SheetSettings


def retrieval_examples(
    embedded: Embedded, result: RetrievalResult, roles: Roles, settings: SheetSettings
) -> list[Group]:
    """Seeded queries per attribute, ranked as the figures are."""
    groups = []
    for n, (name, summary) in enumerate(result.summaries.items()):
        queries = AttributeQueries(embedded, n, result.settings, roles)
        chosen = sample(len(queries), settings.rows, settings.seed)
        if not len(chosen) or not len(queries.gallery):
            continue
        relevance = queries.relevance(chosen)
        rows = []
        for q, places in enumerate(queries.rank(chosen, settings.hits + 1)):
            query = int(queries.item[chosen[q]])
            classes = [queries.class_index[chosen[q]]] if queries.class_index[chosen[q]] >= 0 else []
            asked = _names(embedded.taxonomy, classes) or labels(embedded, query, n)
            guess = _names(embedded.taxonomy, np.flatnonzero(embedded.predicted[query]), n)
            cells = [
                Cell(item, bool(relevance[q, place]), labels(embedded, item, n))
                for place, item in zip(places.tolist(), queries.gallery.items[places].tolist(), strict=True)
                if item != query
            ]
            caption = f"{name}: {asked}\npredicted: {guess}"
            rows.append(Row(caption, Cell(query, None, embedded.item_ids[query]), tuple(cells[: settings.hits])))
        groups.append(Group(f"{name} — MAP@all {_percent(summary.map)}", tuple(rows)))
    return groups


def manipulation_examples(
    embedded: Embedded, head: ManipulationHead, result: ManipulationResult, roles: Roles, settings: SheetSettings
) -> list[Group]:
    """Seeded (item, change) pairs per attribute; a hit matches all that the change asks for (5/5, say)."""
    groups = []
    for name, part in (*result.single.items(), *result.multi.items()):
        queries = part.queries
        gallery = ManipulationGallery(embedded, head, queries.attribute, roles)
        chosen = sample(len(queries), settings.rows, settings.seed)
        target = queries.target(embedded.carried)[chosen]
        matches, wanted = match(embedded, gallery.items, queries.attribute, target)
        ranked = gallery.rank(queries.item[chosen], target, settings.hits + 1)
        rows = []
        for q, places in enumerate(ranked):
            query = int(queries.item[chosen[q]])
            change = queries.change(int(chosen[q]))
            gone, come = (
                _names(embedded.taxonomy, [] if m is None else [m]) for m in (change.from_class, change.to_class)
            )
            asked = {"replace": f"{gone} → {come}", "add": f"+ {come}", "remove": f"− {gone}"}[change.operation.value]
            cells = [
                Cell(
                    item,
                    bool(matches[q, place] == wanted[q]),
                    f"{matches[q, place]}/{wanted[q]} {labels(embedded, item, queries.attribute)}",
                )
                for place, item in zip(places.tolist(), gallery.items[places].tolist(), strict=True)
                if item != query
            ]
            below = Cell(query, None, labels(embedded, query, queries.attribute))
            rows.append(Row(f"{name}:\n{asked}", below, tuple(cells[: settings.hits])))
        measure = next(iter(part.summary.values))
        groups.append(Group(f"{name} — {measure} {_percent(part.summary.values[measure])}", tuple(rows)))
    return groups


def labels(labelled: Labelled, item: int, n: int) -> str:
    """The classes of attribute n that an item is labelled with, with commas between."""
    return _names(labelled.taxonomy, np.flatnonzero(labelled.carried[item]), n) or "unknown"


def _names(taxonomy: Taxonomy, classes: Sequence[int] | np.ndarray, n: int | None = None) -> str:
    """Names of class indices (of those of attribute n), with commas between."""
    mine = [int(m) for m in classes if n is None or taxonomy.attribute_of_class[int(m)] == n]
    return ", ".join(taxonomy.class_name(m)[1] for m in mine)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
