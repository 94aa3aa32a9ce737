"""The candidates of a manipulation: their ranking for changed items, and what of a target they have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from model.manipulation import ManipulationHead

from .changes import single_label_attributes, single_labels
from .embedded import Embedded
from .metrics import Counts
from .ordering import order
from .roles import Roles


class ManipulationGallery:
    """The candidates for changes of some attributes: those labelled for all of them, ranked by cosine of global
    embeddings, then by id.

    Attributes:
        items: G positions.
        own: N, the place of each item in `items`; −1 = it is not in the gallery.
    """

    def __init__(self, embedded: Embedded, head: ManipulationHead, attributes: Sequence[int], roles: Roles) -> None:
        assert embedded.global_embeddings is not None, "embed with a checkpoint that has a global head"
        ids = np.asarray(embedded.item_ids, dtype=object)
        self._embedded, self._head, self._changed = embedded, head, list(attributes)
        candidates = np.flatnonzero((roles.gallery & embedded.known)[:, self._changed].all(1))
        self.items: Counts = candidates[np.argsort(ids[candidates], kind="stable")]
        self.own = np.full(len(embedded), -1, np.int64)
        self.own[self.items] = np.arange(len(self.items))
        self._vectors = np.ascontiguousarray(embedded.global_embeddings[self.items])

    @torch.inference_mode()
    def rank(self, item: Counts, target: NDArray[np.bool_], limit: int) -> Counts:
        """Rank for items (B) that are to carry a target (B×ΣM bool): B×min(G, limit) places; itself stands last."""
        device = self._head.memory.device
        embeddings = torch.from_numpy(self._embedded.attribute_embeddings[item]).to(device)
        changed = torch.zeros(embeddings.shape[:2], dtype=torch.bool, device=device)
        changed[:, self._changed] = True
        vectors = self._head.change_batch(embeddings, torch.from_numpy(target).to(device), changed)
        vectors = self._head(vectors).float().cpu().numpy()
        return order(vectors @ self._vectors.T, own=self.own[item], limit=limit)


def match(
    embedded: Embedded, items: Counts, attributes: Sequence[int], target: NDArray[np.bool_]
) -> tuple[NDArray[np.int16], Counts]:
    """How many of what B targets ask for each of G items has (B×G), and how many they ask for (B).

    Args:
        embedded: N items.
        items: G positions.
        attributes: those that change.
        target: B×ΣM, see `ChangeQueries.target`.
    """
    taxonomy = embedded.taxonomy
    matches, total = np.zeros((len(target), len(items)), np.int16), np.zeros(len(target), np.int64)
    multi = [n for n in attributes if taxonomy.attributes[n].multi_label]
    for n in multi:
        wanted = target[:, taxonomy.span(n)]
        carried = embedded.carried[items][:, taxonomy.span(n)]
        matches += (wanted.astype(np.float32) @ carried.T.astype(np.float32)).astype(np.int16)
        total += wanted.sum(1)
    if len(multi) < len(attributes):
        labels = single_labels(embedded)[items]
        for column, n in enumerate(single_label_attributes(taxonomy)):
            wanted = target[:, taxonomy.span(n)].argmax(1) + taxonomy.offsets[n]
            matches += labels[:, column] == wanted[:, None]
        total += labels.shape[1]
    return matches, total
