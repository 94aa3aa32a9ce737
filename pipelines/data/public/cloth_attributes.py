"""DeepFashion's ``list_attr_cloth.txt``: the thousand classes and the attribute (*type*) of each.

Line 1 is a count, line 2 a header; of the others the last word is the type 1..5, all before it the name, which may
have spaces. A class is known elsewhere by its 0-based line below the header.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pipelines.errors import ManifestError

from .journal import Journal
from .lines import at, numbered

FILES = ("Anno_coarse/list_attr_cloth.txt", "Anno/list_attr_cloth.txt", "list_attr_cloth.txt")
TYPES = ("texture", "fabric", "shape", "part", "style")
_FIRST = 3


def read_cloth_attributes(path: Path, journal: Journal) -> list[tuple[int, str]]:
    """(position of the type in `TYPES`, name) of each class, in the file's order.

    A name that occurs again within its type is told apart by its line. Since the place in the file is what other files
    refer to, one bad line spoils it: `ManifestError`.
    """
    classes: list[tuple[int, str]] = []
    seen: Counter[tuple[int, str]] = Counter()
    stated = ""
    for number, text in numbered(path, journal):
        if number == 1:
            stated = text.strip()
        if number < _FIRST or not text.strip():
            continue
        name, _, kind = text.strip().rpartition(" ") if "\t" not in text else text.strip().rpartition("\t")
        if not name.strip() or kind not in ("1", "2", "3", "4", "5"):
            raise ManifestError(f"{at(path, number, text)}: not a name and a type 1 to {len(TYPES)}")
        key = int(kind) - 1, name.strip()
        seen[key] += 1
        classes.append(key if seen[key] == 1 else (key[0], f"{key[1]} ({len(classes)})"))
    if not classes:
        raise ManifestError(f"{path}: lists no attributes")
    if stated != str(len(classes)):
        journal.notice(f"line 1 does not state the number of rows, {len(classes)}", at(path, 1, stated))
    return classes
