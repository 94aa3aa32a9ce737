"""One training step against forward and backward of the bare backbone on the same images, in turn.

The step is the real one: augmentation, every loss, gradient clipping, AdamW, prototypes, averaged weights.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.duet import options, sizes, taxonomy_of
from benchmarks.ratio import compare, spread
from model.encoder import Encoder, EncoderConfig
from model.objective import Counts, Objective, ObjectiveConfig, Roles
from model.preparation import normalize
from model.systems import build_encoder
from pipelines.train.augment import AugmentationConfig, draw_augmentation
from pipelines.train.average import WeightAverage
from pipelines.train.batches import Batch
from pipelines.train.sampler import draw_roles
from pipelines.train.settings import OptimizerSection
from pipelines.train.step import TrainingStep, optimizer_of, to_device


def random_batch(encoder: Encoder, given: object, rng: np.random.Generator) -> Batch:
    """Random pictures, every attribute labelled."""
    taxonomy, count, size = encoder.taxonomy, given.batch, given.size  # type: ignore[attr-defined]
    carried = np.zeros((count, taxonomy.class_count), bool)
    for n in range(len(taxonomy.attributes)):
        carried[np.arange(count), rng.integers(taxonomy.offsets[n], taxonomy.offsets[n + 1], count)] = True
    known = np.ones((count, len(taxonomy.attributes)), bool)
    roles = draw_roles(np.arange(count), carried, known, np.array(taxonomy.attribute_of_class), rng)
    triplets = int(((roles.positive >= 0) & (roles.negative >= 0)).sum())
    return Batch(
        torch.from_numpy(rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)),
        torch.from_numpy(draw_augmentation(count, rng)),
        torch.from_numpy(carried),
        torch.from_numpy(known),
        Roles(*(torch.from_numpy(getattr(roles, f)) for f in ("anchor", "class_index", "positive", "negative"))),
        Counts(len(known), known.size, int((roles.negative >= 0).sum()), triplets),
    )


def main() -> None:
    """Print the ratio step / backbone in seconds."""
    parser = options()
    parser.set_defaults(batch=16, classes=6)
    given = parser.parse_args()
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(backbone=given.backbone), taxonomy_of(given.attributes, given.classes))
    device = torch.device(given.device)
    encoder = encoder.to(device).to(memory_format=torch.channels_last)
    step = TrainingStep(encoder, Objective(ObjectiveConfig(), encoder), AugmentationConfig(), 255).to(device).train()
    optimizer, average = optimizer_of(step, OptimizerSection()), WeightAverage(encoder, 0.99)
    batch = to_device(random_batch(encoder, given, np.random.default_rng(0)), device)
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    images = normalize(batch.images).contiguous(memory_format=torch.channels_last)

    network = encoder.get_submodule("backbone")

    def bare() -> None:
        network(images).square().mean().backward()
        encoder.zero_grad(set_to_none=True)
        wait()

    def whole() -> None:
        loss, losses = step(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(step.parameters(), 5.0)
        optimizer.step()
        step.objective.prototypes.update(losses.prototype_sums, losses.prototype_counts)
        average.update(1)
        wait()

    backbone, full, ratios = compare(bare, whole, given.rounds)
    print(sizes(given))
    print(f"backbone forward + backward {backbone:7.3f} s")
    print(f"whole training step         {full:7.3f} s, with {len(batch.roles.anchor)} anchors")
    print(f"ratio step / backbone in seconds: {spread(ratios)}; limit 1.5 or less")


if __name__ == "__main__":
    main()
