"""``duet data import``: a public data set's own files -> a manifest."""

from __future__ import annotations

import difflib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster.settings import fail, parse_settings

from .folder import MANIFEST, REPORT, ROLES, TRIPLETS
from .importing import Imported, import_set
from .registry import DATA_SETS

_REASONS = 5  # shown; the report has them all


def import_command(argv: Sequence[str], prog: str) -> None:
    """Run the command: the set's name, then options that depend on it."""
    name, *rest = argv or [""]
    if name in ("-h", "--help"):
        print(usage(prog))
        return
    if not name:
        print(usage(prog), file=sys.stderr)
        raise SystemExit(2)
    if name not in DATA_SETS:
        near = difflib.get_close_matches(name, DATA_SETS, n=1)
        fail(prog, f"no data set {name!r}" + (f"; did you mean {near[0]!r}?" if near else f"; see {prog} --help"))
    data_set = DATA_SETS[name]
    settings = parse_settings(data_set.settings, rest, f"{prog} {name}")
    print("\n".join(summary(import_set(data_set, settings), copied=settings.copy_images)))


def usage(prog: str) -> str:
    """The text of ``--help``: every set, and where it is obtained."""
    width = max(map(len, DATA_SETS))
    lines = []
    for name, data_set in DATA_SETS.items():
        lines += [f"  {name:<{width}}  {data_set.text}", f"  {'':<{width}}  from {data_set.obtained}"]
    return "\n".join(
        [
            f"usage: {prog} NAME PATH --out FOLDER [options]",
            "",
            "Turn the files of a public data set, as its makers lay them out, into a manifest.",
            "",
            "data sets:",
            *lines,
            "",
            f"{prog} NAME --help tells a set's options.",
        ]
    )


def summary(done: Imported, copied: bool) -> list[str]:
    """What was written and left out, and the commands to go on with."""
    counts = done.counts
    splits = ", ".join(f"{split or '(none)'} {rows:,}" for split, rows in counts.splits.items())
    classes = sum(map(len, counts.classes.values()))
    lines = [
        f"{done.out / MANIFEST}: {counts.rows:,} items ({splits}), "
        f"{len(counts.classes)} attributes, {classes:,} classes"
    ]
    for what, file in ((counts.roles, ROLES), (counts.triplets, TRIPLETS)):
        totals: dict[str, int] = {}
        for (kind, _), rows in what.items():
            totals[kind] = totals.get(kind, 0) + rows
        if totals:
            lines.append(f"{done.out / file}: " + ", ".join(f"{kind} {rows:,}" for kind, rows in totals.items()))
    for title, tally in (("left out", done.journal.skipped), ("odd, but kept", done.journal.noticed)):
        reasons = [f"{count:,} x {reason}" for reason, count in tally.counts.most_common(_REASONS)]
        if len(tally.counts) > _REASONS:
            reasons.append("…")
        lines += [f"{title}: {'; '.join(reasons)}"] if reasons else []
    manifest = shlex.quote(str(done.out / MANIFEST))
    roots = "" if copied else f" --roots {shlex.quote(str(Path(done.root).absolute()))}"
    lists = [("--roles", ROLES, counts.roles), ("--triplets.file", TRIPLETS, counts.triplets)]
    own = "".join(f" {option} {shlex.quote(str(done.out / file))}" for option, file, rows in lists if rows)
    if "val" in counts.splits and "test" not in counts.splits:  # whose labels its makers keep
        own = f" --split val{own}"
    return [
        *lines,
        f"{done.out / REPORT}: all of this in detail",
        "go on with:",
        f"  duet data describe {manifest}{roots}",
        f"  duet train --manifest {manifest}{roots} --out FOLDER",
        f"  duet evaluate --checkpoint FOLDER/checkpoint --manifest {manifest}{roots}{own} --out FOLDER/evaluation",
    ]
