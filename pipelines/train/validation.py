"""Validation: MAP@all on the val split, as `pipelines.evaluate` computes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoder import Encoder
from model.preparation import ImagePreparation
from pipelines.data.item_store import ItemStore
from pipelines.evaluate.embedded import embed
from pipelines.evaluate.retrieval import evaluate_retrieval

from .distributed import World
from .settings import TrainSettings


def validate(
    encoder: Encoder, preparation: ImagePreparation, store: ItemStore, settings: TrainSettings, world: World, half: bool
) -> dict[str, Any]:
    """``map`` over all queries and ``map/<attribute>``, each in 0..1, of an encoder in any mode."""
    mode = encoder.training
    encoder.eval()
    part = Part(store, settings.validation_items)
    with torch.autocast(world.device.type, torch.bfloat16, enabled=half):
        embedded = embed(encoder, preparation, part, device=world.device)
    encoder.train(mode)
    result = evaluate_retrieval(embedded)
    figures = {f"map/{name}": summary.map for name, summary in result.summaries.items() if summary.queries}
    return {"map": result.overall.map, **figures}


class Part:
    """The first items of a store by a fixed shuffle; the whole of it if it is small."""

    def __init__(self, store: ItemStore, limit: int) -> None:
        chosen = np.arange(len(store))
        if len(store) > limit:
            chosen = np.sort(np.random.default_rng(0).permutation(len(store))[:limit])
        self.store, self.chosen = store, chosen
        self.item_ids = [store.item_ids[i] for i in chosen]
        self.carried: NDArray[np.bool_] = store.carried[chosen]
        self.known: NDArray[np.bool_] = store.known[chosen]

    def __len__(self) -> int:
        return len(self.chosen)

    def prepared(self, indices: Sequence[int], preparation: ImagePreparation) -> NDArray[np.uint8]:
        """As `ItemStore.prepared`, by position in this part."""
        return self.store.prepared(self.chosen[list(indices)].tolist(), preparation)
