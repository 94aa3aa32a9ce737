"""``duet evaluate chance``: what a random ranking scores and what the best one can, from labels alone.

Needs no pictures and no encoder. On the official lists of a public set these are the figures that papers print as
"random", so they tell whether lists, labels and protocol are the papers' before anything is trained.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np

from cluster.command import command
from cluster.settings import parse_settings
from model.taxonomy import Taxonomy
from pipelines.data.manifest import Manifest, row_labels
from pipelines.data.taxonomy import build_taxonomy
from pipelines.errors import DuetError, ManifestError

from .embedded import Embedded
from .metrics import Counts, Hits
from .report import RELEVANCE
from .retrieval import AttributeQueries, RetrievalResult, score_queries
from .roles import Roles, choose_roles
from .scores import NEAREST
from .settings import ChanceSettings, RetrievalSettings
from .tables import Table, percent, show

_PROG = "duet evaluate chance"


@command(_PROG, DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    settings = parse_settings(ChanceSettings, argv, _PROG)
    manifest = Manifest.open(settings.manifest, attributes=settings.attributes, require_image=False)
    items = read_labels(manifest, build_taxonomy(manifest), settings.split if manifest.has_split else None)
    roles, foreign = choose_roles(settings.roles, settings.retrieval, items)
    if foreign:
        print(
            f"{settings.roles}: {foreign:,} rows are of other items, attributes or classes, and are left out",
            file=sys.stderr,
        )
    show([chance_table(expect(items, settings.retrieval, roles), own_roles=settings.roles is not None)])
    return 0


def read_labels(manifest: Manifest, taxonomy: Taxonomy, split: str | None) -> Embedded:
    """The items of a split (None = of all), labelled or not, with vectors of no dimension.

    Raises:
        ManifestError: there is none, or one stands twice.
    """
    columns = ["item_id", *taxonomy.names, *(["split"] if split is not None else [])]
    ids: list[str] = []
    rows: list[dict[str, list[str]]] = []
    for batch in manifest.batches(8192, columns):
        for row in batch.to_pylist():
            if split is None or row["split"] == split:
                ids.append(row["item_id"])
                rows.append(row_labels(row, taxonomy.names))
    if not ids:
        raise ManifestError(f"{manifest.files[0]}: no item" + (f" in split {split!r}" if split is not None else ""))
    twice = next((item_id for item_id, count in Counter(ids).items() if count > 1), None)
    if twice is not None:
        raise ManifestError(f"item_id {twice!r} stands twice in {', '.join(manifest.files)}")
    carried = np.zeros((len(ids), taxonomy.class_count), bool)
    for n, attribute in enumerate(taxonomy.attributes):
        place = {name: taxonomy.offsets[n] + m for m, name in enumerate(attribute.classes)}
        for item, row in enumerate(rows):
            carried[item, [place[name] for name in row[attribute.name]]] = True
    count = len(taxonomy.attributes)
    return Embedded(
        item_ids=ids,
        attribute_embeddings=np.zeros((len(ids), count, 0), np.float32),
        probabilities=np.zeros(carried.shape, np.float32),
        predicted=np.zeros_like(carried),
        pair_item=np.empty(0, np.int64),
        pair_class=np.empty(0, np.int64),
        class_embeddings=None,
        carried=carried,
        known=np.stack([carried[:, taxonomy.span(n)].any(1) for n in range(count)], 1),
        taxonomy=taxonomy,
        class_first=False,
    )


def expect(items: Embedded, settings: RetrievalSettings, roles: Roles) -> RetrievalResult:
    """Retrieval by nothing: its `chance` and `ceiling` are any encoder's, its values say nothing."""
    attributes = {}
    for n, name in enumerate(items.taxonomy.names):
        queries = AttributeQueries(items, n, settings, roles)

        def unordered(rows: Counts, queries: AttributeQueries = queries) -> tuple[Hits, Counts]:
            places = np.arange(min(NEAREST, len(queries.gallery)))
            return queries.relevance(rows), np.broadcast_to(places, (len(rows), len(places)))

        attributes[name] = score_queries(queries.gallery, queries.item, queries.class_index, unordered, settings)
    return RetrievalResult(settings, attributes)


def chance_table(result: RetrievalResult, *, own_roles: bool) -> Table:
    """By measure, the random ranking's expectation, and the ceiling of Recall@K."""
    columns = [*result.summaries.items(), ("overall", result.overall), ("macro", result.macro)]
    rows = []
    for measure in result.overall.chance:
        for name, kind in (("random", "chance"), ("ceiling", "ceiling")):
            if measure in getattr(result.overall, kind):
                rows.append((measure, name, *(percent(getattr(one, kind)[measure]) for _, one in columns)))
    rows.append(("queries", "", *(f"{one.queries:,}" for _, one in columns)))
    rows.append(("nothing relevant", "", *(f"{one.without_relevant:,}" for _, one in columns)))
    roles = "the data set's own roles" if own_roles else result.settings.roles
    notes = (f"{roles}; {RELEVANCE[result.settings.relevance]}", f"labels of candidates: {result.settings.labels}")
    return Table("What chance scores", notes, ("%", "", *(name for name, _ in columns)), tuple(rows))
