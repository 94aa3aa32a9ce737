"""The taxonomy that a manifest's labels make."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from model.errors import TaxonomyError
from model.taxonomy import Attribute, Taxonomy

from .manifest import Manifest
from .writing import make_folder, write_text


def build_taxonomy(manifest: Manifest, *, ignore: Sequence[str] = (), min_count: int = 1) -> Taxonomy:
    """Attributes in the manifest's order, classes sorted; multi-label if any row carries several classes at once.

    Args:
        manifest: of which all rows are read, but no pictures.
        ignore: attributes to leave out.
        min_count: a class that fewer rows carry is left out, and so is an attribute that keeps no class.

    Raises:
        TaxonomyError: nothing is left, `ignore` names something else, or a class has an impossible name.
    """
    unknown = sorted(set(ignore) - set(manifest.attributes))
    if unknown:
        raise TaxonomyError(f"cannot ignore {unknown}; the manifest's attributes are {list(manifest.attributes)}")
    names = [name for name in manifest.attributes if name not in set(ignore)]
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    several: set[str] = set()
    for batch in manifest.batches(8192, columns=names) if names else ():
        for name in names:
            for classes in batch.column(name).to_pylist():
                distinct = set(classes)
                counts[name].update(distinct)
                if len(distinct) > 1:
                    several.add(name)
    attributes = []
    for name in names:
        classes = tuple(sorted(c for c, count in counts[name].items() if count >= min_count))
        if classes:
            attributes.append(Attribute(name, classes, name in several))
    if not attributes:
        raise TaxonomyError(
            "the manifest has no labels: an attribute is a column of lists of text, or a column of text that is "
            f"named as an attribute (metadata columns: {', '.join(manifest.metadata) or 'none'})"
        )
    return Taxonomy(tuple(attributes))


def save_taxonomy(path: str | Path, taxonomy: Taxonomy) -> None:
    """Write a taxonomy as JSON, atomically."""
    path = Path(path)
    make_folder(path.parent)
    write_text(path, json.dumps(taxonomy.to_json(), indent=2, ensure_ascii=False) + "\n")


def load_taxonomy(path: str | Path) -> Taxonomy:
    """Read what `save_taxonomy` wrote. Raises `TaxonomyError` if it is missing or something else."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TaxonomyError(f"{path}: no such taxonomy; write one with `duet data taxonomy`") from None
    except (OSError, ValueError) as error:
        raise TaxonomyError(f"{path}: not a readable taxonomy ({error})") from error
    if not isinstance(value, dict):
        raise TaxonomyError(f"{path}: a taxonomy is a JSON object")
    return Taxonomy.from_json(value)
