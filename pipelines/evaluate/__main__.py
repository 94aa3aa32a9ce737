"""``duet evaluate``: checkpoint + labelled manifest -> figures, tables, contact sheets."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import torch
from PIL import Image

from cluster.command import command
from cluster.settings import parse_settings
from model.checkpoint import Checkpoint, load_checkpoint
from pipelines.data.images import decode
from pipelines.data.item_store import ItemStore
from pipelines.data.progress import progress
from pipelines.data.writing import make_folder
from pipelines.errors import DuetError

from . import tables
from .compare.command import main as compare
from .contact_sheet import Group, draw_sheet, save_sheet
from .embedded import Embedded, embed
from .examples import manipulation_examples, retrieval_examples
from .expected import main as chance
from .generations.command import main as generations
from .items import open_items
from .manipulation import evaluate_manipulation
from .multilabel import evaluate_multilabel
from .neighbours import neighbour_table, save_neighbours
from .query_table import FILE, query_table, save_queries
from .report import Report
from .reranking import evaluate_reranking
from .retrieval import RetrievalResult, evaluate_retrieval
from .roles import Roles, choose_roles
from .sensitivity import Sensitivity, evaluate_sensitivity
from .settings import EvaluateSettings
from .triplets import TripletAccuracy, draw_triplets, evaluate_triplets, read_triplets

_SUBCOMMANDS = {"compare": compare, "chance": chance, "generations": generations}


@command("duet evaluate", DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate, print the tables, and say where the report lies; or do what the first argument names."""
    argv = sys.argv[1:] if argv is None else list(argv)
    for name, subcommand in _SUBCOMMANDS.items():
        if argv[:1] == [name]:
            return subcommand(argv[1:])
    settings = parse_settings(EvaluateSettings, argv, "duet evaluate")
    make_folder(settings.out)
    report, sheets = evaluate(settings)
    tables.show(report.tables())
    print(f"report: {settings.out / 'report.md'}; figures: {settings.out / 'report.json'}, {settings.out / FILE}")
    if sheets:
        print(f"contact sheets: {', '.join(map(str, sheets))}")
    return 0


def evaluate(settings: EvaluateSettings) -> tuple[Report, list[Path]]:
    """Run the whole evaluation and write its files into ``settings.out``.

    Returns:
        The report, and the contact sheets that were written.

    Raises:
        CheckpointError, ManifestError, ImageError: what is wrong, and with which file or item.
    """
    device = _device(settings.device)
    checkpoint = load_checkpoint(settings.checkpoint, device)
    store, split = open_items(
        settings.manifest, checkpoint.taxonomy, roots=settings.roots, split=settings.split, cache=settings.cache
    )
    if split is None:
        _say("the manifest has no column 'split': all of its items are evaluated")
    for problem in store.problems():
        _say(problem)
    # Before the long part, so that a fault in them is said at once.
    roles, foreign = choose_roles(settings.roles, settings.retrieval, store)
    if foreign:
        _say(f"{settings.roles}: {foreign:,} rows are of other items, attributes or classes, and are left out")
    triplets = read_triplets(settings.triplets.file, split) if settings.triplets.file else None
    with progress("embedding", len(store)) as advance:
        embedded = embed(
            checkpoint, checkpoint.preparation, store, batch=settings.batch, threshold=settings.threshold,
            lowest=min(settings.sensitivity.thresholds, default=None), device=device, progress=advance,
        )  # fmt: skip
    if triplets is None and settings.triplets.count:
        triplets = draw_triplets(embedded, settings.triplets.count, settings.triplets.seed)
    encoder = checkpoint.encoder
    retrieval = evaluate_retrieval(embedded, settings.retrieval, roles)
    report = Report(
        system=encoder.config.label,
        model={
            "checkpoint": str(settings.checkpoint),
            "digest": checkpoint.digest,
            "encoder": {**asdict(encoder.config), "threshold": settings.threshold or encoder.threshold},
            "image": asdict(checkpoint.preparation),
        },
        data={
            "manifest": ", ".join(settings.manifest),
            "split": split or "(none)",
            "items": len(store),
            "left_out": len(store.bad),
            "unknown_labels": sum(store.unknown.values()),
            "galleries": roles.digest(embedded),
            "unlabelled": dict(zip(checkpoint.taxonomy.names, (~store.known).sum(0).tolist(), strict=True)),
        },
        taxonomy=checkpoint.taxonomy,
        settings=settings,
        has_classes=encoder.has_classes,
        retrieval=retrieval,
        multilabel=evaluate_multilabel(embedded, settings.multilabel, settings.retrieval, roles),
        manipulation=None
        if checkpoint.head is None
        else evaluate_manipulation(embedded, checkpoint.head, settings.manipulation, roles),
        triplets=None if triplets is None else _triplet_accuracy(embedded, triplets),
        reranking=evaluate_reranking(embedded, settings.reranking, settings.retrieval, roles)
        if settings.reranking.ks
        else None,
        sensitivity=_sensitivity(embedded, settings, encoder.threshold, retrieval, roles),
    )
    queries = query_table(
        embedded, report.retrieval, report.multilabel, report.manipulation, report.reranking, report.triplets
    )
    save_queries(queries, settings.out)
    save_neighbours(neighbour_table(embedded, report.retrieval), settings.out)
    settings.save(settings.out / "settings.json")
    report.save(settings.out)  # last, and with a digest of the queries: a folder half written is no run
    return report, _save_sheets(settings, store, embedded, roles, checkpoint, report)


def _triplet_accuracy(embedded: Embedded, triplets: pa.Table) -> TripletAccuracy:
    result = evaluate_triplets(embedded, triplets)
    for count, what in ((result.unknown_items, "items"), (result.unknown_attributes, "attributes")):
        if count:
            _say(f"{count:,} triplets are left out: they are of {what} that are not evaluated")
    return result


def _sensitivity(
    embedded: Embedded, settings: EvaluateSettings, threshold: float, retrieval: RetrievalResult, roles: Roles
) -> Sensitivity | None:
    thresholds = settings.sensitivity.thresholds
    if not thresholds:
        return None
    own = threshold if settings.threshold is None else settings.threshold
    result = evaluate_sensitivity(embedded, retrieval, roles, own, thresholds)
    if result is None:
        _say("--sensitivity.thresholds: no attribute is multi-label, so that γ changes nothing")
    return result


def _save_sheets(
    settings: EvaluateSettings,
    store: ItemStore,
    embedded: Embedded,
    roles: Roles,
    checkpoint: Checkpoint,
    report: Report,
) -> list[Path]:
    def picture(item: int) -> Image.Image:
        return decode(store.image(item))

    sheets: dict[str, list[Group]] = {"retrieval": [], "manipulation": []}
    if settings.sheet.rows:
        sheets["retrieval"] = retrieval_examples(embedded, report.retrieval, roles, settings.sheet)
        if checkpoint.head is not None and report.manipulation is not None:
            sheets["manipulation"] = manipulation_examples(
                embedded, checkpoint.head, report.manipulation, roles, settings.sheet
            )
    written = []
    for name, groups in sheets.items():
        path = settings.out / f"{name}.png"
        path.unlink(missing_ok=True)  # an earlier run's would pass for this one's
        if groups:
            save_sheet(draw_sheet(groups, picture), path)
            written.append(path)
    return written


def _device(name: str) -> torch.device:
    try:
        return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except RuntimeError:
        raise DuetError(f"--device {name}: not a device of torch (cpu, cuda, cuda:1, …)") from None


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
