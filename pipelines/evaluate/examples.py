"""Examples for the contact sheets: a few queries of each attribute and what they found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.manipulation import ManipulationHead
from model.taxonomy import Taxonomy

from .changes import ChangeQueries, change_text
from .contact_sheet import Cell, Group, Row
from .embedded import Embedded
from .manipulation import ManipulationResult
from .manipulation_gallery import ManipulationGallery, match
from .metrics import Counts
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
    """Seeded (item, changes) queries; a hit matches all that the changes ask for (5/5, say)."""
    several = (result.several_single, result.several_multi)
    parts = [*result.single.items(), *result.multi.items()]
    parts += [(f"{size} attributes", part) for scores in several for size, part in scores.items()]
    groups = []
    for name, part in parts:
        chosen = sample(len(part.scores), settings.rows, settings.seed)
        rows, start = [], 0
        for queries in part.queries:
            here = chosen[(chosen >= start) & (chosen < start + len(queries))] - start
            start += len(queries)
            if len(here):
                rows += _changed_rows(embedded, head, queries, here, roles, settings.hits)
        measure = next(iter(part.summary.values))
        groups.append(Group(f"{name} — {measure} {_percent(part.summary.values[measure])}", tuple(rows)))
    return groups


def labels(labelled: Labelled, item: int, n: int) -> str:
    """The classes of attribute n that an item is labelled with, with commas between."""
    return _names(labelled.taxonomy, np.flatnonzero(labelled.carried[item]), n) or "unknown"


def _changed_rows(
    embedded: Embedded, head: ManipulationHead, queries: ChangeQueries, chosen: Counts, roles: Roles, hits: int
) -> list[Row]:
    taxonomy = embedded.taxonomy
    gallery = ManipulationGallery(embedded, head, queries.attributes, roles)
    target = queries.target(embedded.carried)[chosen]
    matches, wanted = match(embedded, gallery.items, queries.attributes, target)

    def told(item: int) -> str:
        return "; ".join(labels(embedded, item, n) for n in queries.attributes)

    rows = []
    for q, places in enumerate(gallery.rank(queries.item[chosen], target, hits + 1)):
        query = int(queries.item[chosen[q]])
        asked = [
            f"{taxonomy.names[one.attribute]}:\n{change_text(one, taxonomy)}" for one in queries.changes(chosen[q])
        ]
        cells = [
            Cell(item, bool(matches[q, place] == wanted[q]), f"{matches[q, place]}/{wanted[q]} {told(item)}")
            for place, item in zip(places.tolist(), gallery.items[places].tolist(), strict=True)
            if item != query
        ]
        rows.append(Row("\n".join(asked), Cell(query, None, told(query)), tuple(cells[:hits])))
    return rows


def _names(taxonomy: Taxonomy, classes: Sequence[int] | np.ndarray, n: int | None = None) -> str:
    """Names of class indices (of those of attribute n), with commas between."""
    mine = [int(m) for m in classes if n is None or taxonomy.attribute_of_class[int(m)] == n]
    return ", ".join(taxonomy.class_name(m)[1] for m in mine)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
