"""The items of an evaluation, from where its settings say: to embed them, and later to show them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.taxonomy import Taxonomy
from pipelines.data.item_store import ItemStore, default_cache
from pipelines.data.manifest import Manifest
from pipelines.errors import ManifestError


def open_items(
    manifest: Sequence[str], taxonomy: Taxonomy, *, roots: Sequence[str], split: str, cache: Path | None
) -> tuple[ItemStore, str | None]:
    """The items of a split, and the split; None and all items where the manifest has no splits.

    Args:
        manifest, roots, split, cache: as in `settings.EvaluateSettings`.
        taxonomy: of the encoder.

    Raises:
        ManifestError: the manifest cannot be read, or has no item to evaluate.
    """
    opened = Manifest.labelled(manifest, taxonomy, roots=roots)
    chosen = split if opened.has_split else None
    store = ItemStore.open(opened, taxonomy, split=chosen, cache=cache or default_cache())
    if not len(store):
        raise ManifestError(f"{opened.files[0]}: no item to evaluate" + (f" in split {chosen!r}" if chosen else ""))
    return store, chosen
