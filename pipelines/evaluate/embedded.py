"""A set of items, embedded by one encoder, in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from model.checkpoint import Checkpoint
from model.duet import encode, predicted_classes
from model.encoder import Encoder
from model.preparation import ImagePreparation
from model.taxonomy import Taxonomy


class Items(Protocol):
    """What `embed` needs of a `pipelines.data.item_store.ItemStore`."""

    item_ids: list[str]
    carried: NDArray[np.bool_]
    known: NDArray[np.bool_]

    def __len__(self) -> int: ...

    def prepared(self, indices: Sequence[int], preparation: ImagePreparation) -> NDArray[np.uint8]:
        """Pictures, decoded and prepared: uint8 n×H×W×3."""
        ...


@dataclass(frozen=True)
class Embedded:
    """N items and their labels.

    Attributes:
        item_ids: N, unique.
        attribute_embeddings: N×A×D float32, L2-normalised.
        probabilities: N×ΣM float32 in [0, 1].
        predicted: N×ΣM bool, the classes that the encoder predicts.
        pair_item: K positions of items; sorted by item, then class.
        pair_class: K class indices. The pairs are those predicted and those that the labels say, and perhaps more.
        class_embeddings: K×D' float32, L2-normalised; None if the encoder has no class level.
        carried: N×ΣM bool, the labels.
        known: N×A bool, whether the item is labelled for the attribute, with one of its classes at least.
        taxonomy: of the encoder.
        global_embeddings: N×r float32, L2-normalised; None without a global head.
        class_first: whether classes make tiers (`model.encoder.Encoder.class_first`).
        slack: dimensions that a query leaves out (`model.encoder.Encoder.slack`).
    """

    item_ids: list[str]
    attribute_embeddings: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    predicted: NDArray[np.bool_]
    pair_item: NDArray[np.int64]
    pair_class: NDArray[np.int64]
    class_embeddings: NDArray[np.float32] | None
    carried: NDArray[np.bool_]
    known: NDArray[np.bool_]
    taxonomy: Taxonomy
    global_embeddings: NDArray[np.float32] | None = None
    class_first: bool = True
    slack: int = 0

    def __post_init__(self) -> None:
        count, classes = len(self.item_ids), self.taxonomy.class_count
        assert len(set(self.item_ids)) == count, "an item id stands twice"
        assert self.attribute_embeddings.shape[:2] == (count, len(self.taxonomy.attributes))
        assert self.predicted.shape == self.carried.shape == (count, classes)
        of_attribute = np.add.reduceat(self.carried, self.taxonomy.offsets[:-1], axis=1, dtype=np.int64)
        assert (of_attribute[self.known] > 0).all(), "an item is labelled for an attribute with no class of it"
        assert self.class_embeddings is None or len(self.class_embeddings) == len(self.pair_item)

    def __len__(self) -> int:
        return len(self.item_ids)


@torch.inference_mode()
def embed(
    model: Encoder | Checkpoint,
    preparation: ImagePreparation,
    store: Items,
    *,
    batch: int = 64,
    threshold: float | None = None,
    lowest: float | None = None,
    device: str | torch.device = "cpu",
    progress: Callable[[int], object] | None = None,
) -> Embedded:
    """Embed every item of a store, in its order.

    Args:
        model: in ``eval()`` mode; a checkpoint with a global head also gives global embeddings.
        preparation: the model's.
        store: opened with the model's taxonomy.
        batch: pictures per forward pass.
        threshold: γ, in place of the encoder's own.
        lowest: the pairs are also those that a γ this low would predict.
        device: where the model lies and runs.
        progress: called after each batch with its number of items.

    Raises:
        ImageError: a picture cannot be read; names the item.
    """
    encoder, head = (model.encoder, model.head) if isinstance(model, Checkpoint) else (model, None)
    taxonomy, count = encoder.taxonomy, len(store)
    gamma = encoder.threshold if threshold is None else threshold
    widest = gamma if lowest is None else min(gamma, lowest)
    assert store.carried.shape[1] == taxonomy.class_count, "the store has another taxonomy"
    attributes = np.empty((count, len(taxonomy.attributes), encoder.width), np.float32)
    probabilities = np.empty((count, taxonomy.class_count), np.float32)
    likely = np.empty((count, taxonomy.class_count), bool)
    merged = None if head is None else np.empty((count, head.width), np.float32)
    class_level: list[NDArray[np.float32]] = []
    for start in range(0, count, batch):
        rows = range(start, min(start + batch, count))
        part = slice(rows.start, rows.stop)
        images = torch.from_numpy(store.prepared(rows, preparation)).permute(0, 3, 1, 2).to(device)
        duet = encode(encoder, images, widest, also=torch.from_numpy(np.ascontiguousarray(store.carried[part])))
        attributes[part] = duet.attribute_embeddings.cpu().numpy()
        probabilities[part], likely[part] = duet.probabilities.cpu().numpy(), duet.predicted.cpu().numpy()
        if duet.class_embeddings is not None:
            class_level.append(duet.class_embeddings.cpu().numpy())
        if head is not None and merged is not None:
            merged[part] = head(duet.attribute_embeddings).float().cpu().numpy()
        if progress is not None:
            progress(len(rows))
    # A lower γ predicts all that a higher one does: also the best class, where nothing is above either.
    pair_item, pair_class = (likely | store.carried).nonzero()
    return Embedded(
        item_ids=list(store.item_ids),
        attribute_embeddings=attributes,
        probabilities=probabilities,
        predicted=predicted_classes(torch.from_numpy(probabilities), taxonomy, gamma).numpy(),
        pair_item=pair_item,
        pair_class=pair_class,
        class_embeddings=None
        if encoder.class_width is None
        else np.concatenate([np.empty((0, encoder.class_width), np.float32), *class_level]),
        carried=np.asarray(store.carried),
        known=np.asarray(store.known),
        taxonomy=taxonomy,
        global_embeddings=merged,
        class_first=encoder.class_first,
        slack=encoder.slack,
    )
