"""A description of a manifest as tables."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .describe import Description

_CLASSES_SHOWN = 12
_FILES_SHOWN = 3


def print_description(description: Description, console: Console) -> None:
    """Print rows, splits, attributes, metadata and problems."""
    files = list(description.files[:_FILES_SHOWN])
    if len(description.files) > _FILES_SHOWN:
        files.append(f"… {len(description.files):,} files in all")
    console.print(*map(escape, files), sep="\n", highlight=False, soft_wrap=True)
    splits = ", ".join(f"{escape(name) or '(none)'} {count:,}" for name, count in description.splits.items())
    console.print(f"[bold]{description.rows:,} rows[/]" + (f": {splits}" if splits else ", no splits"), highlight=False)
    console.print(_attributes(description))
    if description.metadata:
        shown = ", ".join(f"{name} ({kind})" for name, kind in description.metadata.items())
        console.print(f"metadata: {escape(shown)}", highlight=False)
    if description.ignored:
        shown = ", ".join(f"{name} ({kind})" for name, kind in description.ignored.items())
        console.print(f"not used, being neither labels nor plain values, or empty: {escape(shown)}", highlight=False)
    console.print(f"pictures decoded: {description.pictures_checked:,}", highlight=False)
    if not description.problems:
        console.print("[green]no problems found[/]")
    for problem in description.problems:
        console.print(f"[yellow]{problem.kind}[/] {problem.count:,}x: {escape(problem.text)}", highlight=False)
        for example in problem.examples:
            console.print(f"  {escape(example)}", highlight=False, soft_wrap=True)


def _attributes(description: Description) -> Table:
    table = Table()
    table.add_column("attribute", style="bold")
    table.add_column("labels per item")
    table.add_column("unlabelled", justify="right")
    table.add_column("classes", justify="right")
    table.add_column("most frequent")
    for attribute in description.attributes:
        shown = [f"{name} {count:,}" for name, count in attribute.classes.most_common(_CLASSES_SHOWN)]
        if len(attribute.classes) > _CLASSES_SHOWN:
            shown.append("…")
        missing = 1 - attribute.labelled / description.rows if description.rows else 0.0
        table.add_row(
            escape(attribute.name),
            "several" if attribute.multi_label else "one",
            f"{missing:.1%}",
            f"{len(attribute.classes):,}",
            escape(", ".join(shown)),
        )
    return table
