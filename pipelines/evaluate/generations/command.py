"""``duet evaluate generations``: what would change if another generation of an index were served."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import lance
import torch

from cluster.command import command
from cluster.settings import parse_settings
from model.checkpoint import load_checkpoint
from model.encoder import Encoder
from pipelines.data.writing import make_folder
from pipelines.errors import CheckpointError, DuetError, StoreError
from pipelines.index.committed import committed_tables
from pipelines.index.generation import Generation
from pipelines.index.naming import ITEMS
from pipelines.index.schema import LIVE, is_one_of
from pipelines.index.store import Index

from ..compare.classes import per_class
from ..compare.command import charts_of, tables_of, write_comparison
from ..compare.comparison import compare
from ..compare.page import Picture
from ..compare.runs import Run, System
from ..compare.settings import CompareSettings
from ..compare.sheets import Shown, sheets_of
from ..compare.tables import csv_text
from ..embedded import Embedded
from ..figures import retrieval_figures
from ..neighbours import neighbour_table
from ..query_table import query_table
from ..report import DENOMINATORS, RELEVANCE
from ..retrieval import evaluate_retrieval
from ..tables import Table
from .common import CommonItems, common_taxonomy, draw_items, read_labels
from .overlap import measure_overlap, overlap_table
from .regressions import worse_classes, worse_queries
from .settings import GenerationsSettings
from .stored import read_embedded

_PROG = "duet evaluate generations"


@dataclass(frozen=True)
class _Opened:
    """A generation, as it is committed, and its encoder."""

    generation: Generation
    encoder: Encoder
    datasets: dict[str, lance.LanceDataset]
    name: str


@command(_PROG, DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Compare, print the tables, and say where the reports lie."""
    settings = parse_settings(GenerationsSettings, argv, _PROG)
    opened = _open(settings)
    make_folder(settings.out)
    settings.save(settings.out / "settings.json")
    taxonomy, left_out = common_taxonomy([one.generation.taxonomy for one in opened])
    if taxonomy is None:
        raise StoreError(f"the generations have no attribute in common: {', '.join(left_out)}")
    ledger, *others = opened
    columns = [["item_id", "labels"], *([["item_id"]] * len(others))]
    ledgers = [one.datasets[ITEMS].to_table(columns=c, filter=LIVE) for one, c in zip(opened, columns, strict=True)]
    ids = draw_items(ledgers, taxonomy, settings.items, settings.seed)
    if len(ids) < 2:
        raise StoreError(
            f"the generations have {len(ids)} items in common; `duet ingest` brings all of them up to date"
        )
    wanted = ["item_id", "labels", "thumbnail"]
    items = read_labels(ledger.datasets[ITEMS].to_table(columns=wanted, filter=is_one_of("item_id", ids)), taxonomy)
    if items.item_ids != ids:
        raise StoreError("the index has changed while it was read; run this again")
    embedded = [read_embedded(one.datasets, one.generation, one.encoder, items) for one in opened]
    facts = [f"{one.name}: generation {one.generation.name}, {one.generation.checkpoint_uri}" for one in opened]
    counts = ", ".join(f"{len(rows):,} in {one.name}" for one, rows in zip(opened, ledgers, strict=True))
    facts.append(f"items: {counts}; {len(items):,} in common are compared, {int(items.known.any(1).sum()):,} labelled")
    if left_out:
        facts.append(f"not in common, so not compared: {', '.join(left_out)}")
    names = [one.name for one in opened]
    stays = overlap_table(measure_overlap(embedded), taxonomy.names, names)
    if items.known.any():
        _compare(settings, opened, embedded, items, facts, stays)
    else:
        facts.append("no item is labelled for an attribute in common: nothing tells which generation is better")
        write_comparison(settings.out, facts, [stays], [], [], "")
    print(f"to serve another one: duet snapshots publish GENERATION --index {settings.index}")
    return 0


def _compare(
    settings: GenerationsSettings,
    opened: Sequence[_Opened],
    embedded: Sequence[Embedded],
    items: CommonItems,
    facts: list[str],
    stays: Table,
) -> None:
    systems, shown = [], []
    for one, part in zip(opened, embedded, strict=True):
        result = evaluate_retrieval(part, settings.retrieval)
        report = {"settings": settings.model_dump(mode="json"), "retrieval": retrieval_figures(result)}
        run = Run(settings.out, one.name, report, query_table(part, result, {}))
        systems.append(System(one.name, (run,)))
        shown.append(Shown(one.name, run.queries, neighbour_table(part, result)))
    chosen = CompareSettings(
        runs=[settings.out], out=settings.out, level=settings.level, resamples=settings.resamples, seed=settings.seed
    )
    parts, classes = compare(systems, chosen), per_class(systems)
    tables = [*tables_of(parts, chosen), stays]
    if classes is not None:
        tables.append(worse_classes(classes, [one.name for one in opened]))
    retrieval = settings.retrieval
    facts += [
        RELEVANCE[retrieval.relevance],
        f"MAP@K is divided by {DENOMINATORS[retrieval.denominator]}",
    ]
    sheets: list[Picture] = []
    if settings.sheets:
        try:
            sheets = sheets_of(shown, items, worse_queries(shown, settings.sheets, settings.seed), settings.index)
        except DuetError as error:  # figures are there without pictures
            facts.append(f"no contact sheets: {error}")
            print(facts[-1], file=sys.stderr)
    write_comparison(settings.out, facts, tables, charts_of(systems, classes, []), sheets, csv_text(parts))


def _open(settings: GenerationsSettings) -> list[_Opened]:
    index = Index.open(settings.index)
    latest = index.latest()
    served = None if latest is None else latest.generation
    if settings.generations:
        generations = [index.generation(name) for name in dict.fromkeys(settings.generations)]
    else:
        generations = sorted(index.generations(), key=lambda one: one.name != served)
    if len(generations) < 2:
        raise StoreError(
            f"{index.uri} has {len(generations)} generation to compare; `duet ingest --generation new --checkpoint …` "
            "makes another one beside it"
        )
    opened = []
    for one in generations:
        checkpoint = load_checkpoint(one.checkpoint_uri, torch.device("cpu"))
        if checkpoint.digest != one.model_digest:
            raise CheckpointError(
                f"{one.checkpoint_uri} holds another encoder than generation {one.name} was made with"
            )
        name = f"{checkpoint.encoder.config.label} {one.name[:6]}" + (" (served)" if one.name == served else "")
        opened.append(_Opened(one, checkpoint.encoder, committed_tables(index, one), name))
    return opened


if __name__ == "__main__":
    raise SystemExit(main())
