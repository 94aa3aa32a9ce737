"""``duet evaluate generations``: what would change if another generation of an index were served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
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
from pipelines.index.schema import is_one_of
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
from ..settings import RetrievalSettings
from ..tables import Table
from .common import CommonItems, CommonTaxonomy, common_taxonomy, draw_items, read_labels, read_ledger
from .overlap import Overlap, measure_overlap, overlap_rows, overlap_table
from .regressions import worse_classes, worse_queries
from .settings import GenerationsSettings
from .stored import read_embedded

_PROG = "duet evaluate generations"
_TRIES = 3  # to read what an ingestion beside may be cleaning away
_RETRIEVAL = RetrievalSettings()


@dataclass(frozen=True)
class _Opened:
    """A generation, its encoder and where that lies, and the generation's name in tables."""

    generation: Generation
    encoder: Encoder
    checkpoint_uri: str
    name: str


@dataclass(frozen=True)
class _Read:
    """Items that all generations hold, as each stores them."""

    items: CommonItems
    embedded: list[Embedded]
    in_common: int
    sizes: list[int]


@command(_PROG, DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Compare, print the tables, and say where the reports lie."""
    settings = parse_settings(GenerationsSettings, argv, _PROG)
    index = Index.open(settings.index)
    opened = _open(index, settings.generations)
    common = common_taxonomy([one.generation.taxonomy for one in opened])
    if common is None:
        raise StoreError("the generations have no attribute in common with a class that all of them know")
    make_folder(settings.out)
    settings.save(settings.out / "settings.json")
    read = _read(index, opened, common, settings)
    names, attributes = [one.name for one in opened], common.taxonomy.names
    overlap = measure_overlap(read.embedded)
    tables, charts, sheets = [overlap_table(overlap, attributes, names)], list[Picture](), list[Picture]()
    facts, rows = _facts(opened, common, read), csv_text([], more=overlap_rows(overlap, attributes, names))
    if read.items.known.any():
        tables, charts, sheets, rows = _labelled(settings, names, read, overlap)
    else:
        facts.append("no item is labelled with a class that is compared: nothing tells which generation is better")
    write_comparison(settings.out, facts, tables, charts, sheets, rows)
    print(f"to serve another one: duet snapshots publish GENERATION --index {settings.index}")
    return 0


def _open(index: Index, names: Sequence[str]) -> list[_Opened]:
    latest = index.latest()
    served = None if latest is None else latest.generation
    generations = [index.generation(name) for name in dict.fromkeys(names)]
    if not generations:
        generations = sorted(index.generations(), key=lambda one: one.name != served)
        if len(generations) < 2:
            raise StoreError(
                f"{index.uri} has {len(generations)} generation to compare; `duet ingest --generation new "
                "--checkpoint …` makes another one beside it"
            )
    opened = []
    for one in generations:
        last = index.latest(generation=one.name)
        uri = one.checkpoint_uri if last is None else last.checkpoint_uri
        checkpoint = load_checkpoint(uri, torch.device("cpu"))
        if checkpoint.digest != one.model_digest:
            raise CheckpointError(f"{uri} holds another encoder than generation {one.name} was made with")
        name = f"{checkpoint.encoder.config.label} {one.name[:6]}" + (" (served)" if one.name == served else "")
        opened.append(_Opened(one, checkpoint.encoder, uri, name))
    return opened


def _read(index: Index, opened: Sequence[_Opened], common: CommonTaxonomy, settings: GenerationsSettings) -> _Read:
    for _ in range(_TRIES):
        try:
            return _read_once(index, opened, common, settings)
        except (OSError, pa.ArrowInvalid) as error:  # Lance's, of a file that is gone
            failure = error
    raise StoreError(
        f"{index.uri} was cleaned up while it was read, {_TRIES} times ({str(failure).splitlines()[0]}); run this again"
    ) from failure


def _read_once(index: Index, opened: Sequence[_Opened], common: CommonTaxonomy, settings: GenerationsSettings) -> _Read:
    datasets = [committed_tables(index, one.generation) for one in opened]
    ledgers = [read_ledger(tables[ITEMS], common.taxonomy.names) for tables in datasets]
    ids, in_common = draw_items(ledgers, settings.items, settings.seed)
    if len(ids) < 2:
        raise StoreError(
            f"the generations have {len(ids)} items in common; `duet ingest` brings all of them up to date"
        )
    wanted = ["item_id", "labels", *(["thumbnail"] if settings.sheets else [])]
    rows = datasets[0][ITEMS].to_table(columns=wanted, filter=is_one_of("item_id", ids))
    items = read_labels(rows, common)
    embedded = [
        read_embedded(tables, one.generation, one.encoder, items) for tables, one in zip(datasets, opened, strict=True)
    ]
    return _Read(items, embedded, in_common, [len(ledger) for ledger in ledgers])


def _facts(opened: Sequence[_Opened], common: CommonTaxonomy, read: _Read) -> list[str]:
    facts = [
        f"{one.name}: generation {one.generation.name}, {one.checkpoint_uri}; {size:,} items committed"
        for one, size in zip(opened, read.sizes, strict=True)
    ]
    labelled = int(read.items.known.any(1).sum())
    facts += [
        f"compared: {len(read.items):,} of the {read.in_common:,} items that all hold with the same picture, labelled "
        f"ones first: {labelled:,} are labelled with a class that is compared",
        "every figure is of these items among each other; those that an encoder was trained with are not told apart",
        f"leave-one-out; {RELEVANCE[_RETRIEVAL.relevance]}",
        f"MAP@K is divided by {DENOMINATORS[_RETRIEVAL.denominator]}; queries to which nothing is relevant count as 0",
    ]
    if common.left_out:
        facts.append(f"not in common, so not compared: {', '.join(common.left_out)}")
    return facts


def _labelled(
    settings: GenerationsSettings, names: Sequence[str], read: _Read, overlap: Overlap
) -> tuple[list[Table], list[Picture], list[Picture], str]:
    """Tables, charts, contact sheets and the text of the CSV."""
    systems, shown = [], []
    for name, part in zip(names, read.embedded, strict=True):
        result = evaluate_retrieval(part, _RETRIEVAL)
        kept = {"retrieval": _RETRIEVAL.model_dump(mode="json")}
        report = {"settings": kept, "retrieval": retrieval_figures(result)}
        run = Run(settings.out, name, report, query_table(part, result, {}))
        systems.append(System(name, (run,)))
        shown.append(Shown(name, run.queries, neighbour_table(part, result)))
    how = CompareSettings(
        runs=[settings.out], out=settings.out, level=settings.level, resamples=settings.resamples, seed=settings.seed
    )
    parts, classes = compare(systems, how), per_class(systems)
    attributes = read.items.taxonomy.names
    tables = [*tables_of(parts, how), overlap_table(overlap, attributes, names)]
    if classes is not None:
        tables.append(worse_classes(classes, names))
    sheets: list[Picture] = []
    if any(read.items.thumbnails):
        chosen = worse_queries(shown, settings.sheets, settings.seed)
        sheets = sheets_of(shown, read.items, chosen, settings.index)
    rows = csv_text(parts, more=overlap_rows(overlap, attributes, names))
    return tables, charts_of(systems, classes, []), sheets, rows


if __name__ == "__main__":
    raise SystemExit(main())
