"""What follows the last epoch: class prototypes over the training set, the manipulation head, the final checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from model.checkpoint import load_checkpoint, save_checkpoint
from model.encoder import ClassPairs, Encoder
from model.manipulation import build_head
from model.preparation import ImagePreparation
from model.prototypes import Prototypes
from model.systems import find_system
from pipelines.data.item_store import ItemStore

from .distributed import World
from .head import train_head
from .settings import TrainSettings

_BATCH = 64


@torch.inference_mode()
def summarize(
    encoder: Encoder, preparation: ImagePreparation, store: ItemStore, world: World, limit: int
) -> tuple[Prototypes, torch.Tensor, torch.Tensor]:
    """Embed this worker's share of the training set, then join the shares.

    Returns:
        The class means over the whole set; and of at most ``limit`` items, evenly spread, their positions (n) and
        attribute embeddings (n×A×D, float32, L2-normalised, on the CPU); on other workers than 0, of their own only.
    """
    classes = encoder.taxonomy.class_count
    sums = [torch.zeros(classes, width, device=world.device) for width in (encoder.width, encoder.class_width or 0)]
    counts = torch.zeros(classes, device=world.device)
    of_class = torch.tensor(encoder.taxonomy.attribute_of_class, device=world.device)
    keep = -(-len(store) // limit)
    kept: list[tuple[int, np.ndarray]] = []
    mine = np.arange(world.rank, len(store), world.size)
    for start in range(0, len(mine), _BATCH):
        items = mine[start : start + _BATCH]
        images = torch.from_numpy(store.prepared(items.tolist(), preparation)).permute(0, 3, 1, 2).to(world.device)
        output = encoder.attributes(images)
        embeddings = F.normalize(output.embeddings.float(), dim=-1)
        image, class_index = torch.from_numpy(store.carried[items]).to(world.device).nonzero(as_tuple=True)
        sums[0].index_add_(0, class_index, embeddings[image, of_class[class_index]])
        if encoder.has_classes:
            unit = F.normalize(encoder.classes(output, ClassPairs(image, class_index)).float(), dim=-1)
            sums[1].index_add_(0, class_index, unit)
        counts += torch.bincount(class_index, minlength=classes)
        rows = embeddings.cpu().numpy()
        # Copies, since a row is a view that would keep its whole batch.
        kept += [(int(item), row.copy()) for item, row in zip(items, rows, strict=True) if item % keep == 0]
    for each in (*sums, counts):
        world.sum(each)
    means = [F.normalize(each, dim=-1).cpu() for each in sums]
    joined = sorted((entry for part in world.collect(kept) for entry in part), key=lambda entry: entry[0])
    positions = torch.tensor([item for item, _ in joined], dtype=torch.int64)
    attributes = len(encoder.taxonomy.attributes)
    vectors = torch.from_numpy(np.array([row for _, row in joined], np.float32).reshape(-1, attributes, encoder.width))
    return Prototypes(means[0], means[1] if encoder.has_classes else None, counts.cpu()), positions, vectors


def finish(settings: TrainSettings, store: ItemStore, world: World, metrics: dict[str, Any]) -> Path:
    """Best weights + prototypes + trained head -> ``out/checkpoint``. Every worker calls it; worker 0 writes."""
    best = load_checkpoint(settings.out / "best", world.device)
    prototypes, positions, vectors = summarize(
        best.encoder, best.preparation, store, world, settings.manipulation.items
    )
    folder = settings.out / "checkpoint"
    if world.rank == 0:
        head = None
        section = settings.manipulation
        if section.width:
            torch.manual_seed(settings.seed)
            config = find_system(best.encoder.config.system).manipulation(best.encoder.config)
            head = build_head(config, best.taxonomy, best.encoder.width, section.width)
            head.start(prototypes)
            losses = train_head(
                head,
                vectors,
                torch.from_numpy(store.carried[positions.numpy()]),
                torch.from_numpy(store.known[positions.numpy()]),
                steps=section.steps,
                batch=section.batch,
                learning_rate=section.learning_rate,
                seed=settings.seed,
            )
            metrics = {**metrics, "head_loss": float(np.mean(losses[-50:])) if losses else None}
        best.encoder.set_centres(prototypes.attribute)
        save_checkpoint(folder, best.encoder, best.preparation, prototypes=prototypes, head=head, metrics=metrics)
    world.gather(None)  # nobody leaves before it is written
    return folder
