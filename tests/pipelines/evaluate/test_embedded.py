"""`embed` equals `model.duet.encode`, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from model.checkpoint import Checkpoint
from model.duet import encode
from model.encoder import ClassPairs, EncoderConfig
from model.systems.m3net import M3Net
from pipelines.data.item_store import ItemStore
from pipelines.evaluate.embedded import embed


def images(store: ItemStore, checkpoint: Checkpoint) -> torch.Tensor:
    return torch.from_numpy(store.prepared(range(len(store)), checkpoint.preparation)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("threshold", [None, 0.3])
def test_equals_encode(checkpoint: Checkpoint, store: ItemStore, threshold: float | None) -> None:
    done: list[int] = []
    embedded = embed(checkpoint, checkpoint.preparation, store, batch=7, threshold=threshold, progress=done.append)
    assert sum(done) == len(embedded) == len(store) == 36 and max(done) == 7
    duet = encode(checkpoint.encoder, images(store, checkpoint), threshold)
    assert np.allclose(embedded.attribute_embeddings, duet.attribute_embeddings, atol=1e-5)
    assert np.allclose(embedded.probabilities, duet.probabilities, atol=1e-5)
    image, class_index = duet.pairs.image.numpy(), duet.pairs.class_index.numpy()
    assert (np.stack(embedded.predicted.nonzero()) == np.stack([image, class_index])).all()
    assert embedded.class_embeddings is not None and duet.class_embeddings is not None
    predicted = embedded.predicted[embedded.pair_item, embedded.pair_class]
    assert (embedded.pair_item[predicted] == image).all() and (embedded.pair_class[predicted] == class_index).all()
    assert np.allclose(embedded.class_embeddings[predicted], duet.class_embeddings, atol=1e-5)


@pytest.mark.parametrize("lowest", [0.05, 0.9])
def test_classes_of_a_lower_threshold_are_embedded_too(checkpoint: Checkpoint, store: ItemStore, lowest: float) -> None:
    plain, more, low = (
        embed(checkpoint, checkpoint.preparation, store, threshold=threshold, lowest=below)
        for threshold, below in ((0.2, None), (0.2, lowest), (min(0.2, lowest), None))
    )
    assert (more.predicted == plain.predicted).all() and (more.probabilities == plain.probabilities).all()
    assert (more.pair_item == low.pair_item).all() and (more.pair_class == low.pair_class).all()
    assert (more.class_embeddings == low.class_embeddings).all()
    assert (len(more.pair_item) > len(plain.pair_item)) == (lowest < 0.2)


def test_labels_and_their_class_embeddings(checkpoint: Checkpoint, store: ItemStore) -> None:
    embedded = embed(checkpoint, checkpoint.preparation, store)
    assert embedded.item_ids == store.item_ids
    assert (embedded.carried == store.carried).all() and (embedded.known == store.known).all()
    assert not embedded.known.all()
    assert (
        np.stack([embedded.pair_item, embedded.pair_class]) == (embedded.predicted | embedded.carried).nonzero()
    ).all()
    pairs = ClassPairs(torch.from_numpy(embedded.pair_item), torch.from_numpy(embedded.pair_class))
    with torch.inference_mode():
        output = checkpoint.encoder.attributes(images(store, checkpoint))
        expected = F.normalize(checkpoint.encoder.classes(output, pairs), dim=-1)
    assert embedded.class_embeddings is not None and np.allclose(embedded.class_embeddings, expected, atol=1e-5)


def test_global_embeddings_are_the_heads(checkpoint: Checkpoint, store: ItemStore) -> None:
    embedded = embed(checkpoint, checkpoint.preparation, store, batch=10)
    assert checkpoint.head is not None and embedded.global_embeddings is not None
    expected = checkpoint.head(torch.from_numpy(embedded.attribute_embeddings))
    assert np.allclose(embedded.global_embeddings, expected, atol=1e-6)
    assert embed(checkpoint.encoder, checkpoint.preparation, store).global_embeddings is None


def test_without_a_class_level(checkpoint: Checkpoint, store: ItemStore) -> None:
    encoder = M3Net(EncoderConfig("m3net_a", "resnet18", hidden=32), checkpoint.taxonomy).eval()
    embedded = embed(encoder, checkpoint.preparation, store)
    assert embedded.class_embeddings is None and embedded.predicted.any(1).all()


def test_under_autocast(checkpoint: Checkpoint, store: ItemStore) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        half = embed(checkpoint, checkpoint.preparation, store)
    whole = embed(checkpoint, checkpoint.preparation, store)
    assert half.global_embeddings is not None and half.global_embeddings.dtype == np.float32
    assert (half.attribute_embeddings * whole.attribute_embeddings).sum(-1).min() > 0.98


def test_refuses_an_encoder_in_training(checkpoint: Checkpoint, store: ItemStore) -> None:
    encoder = M3Net(EncoderConfig(backbone="resnet18", hidden=32), checkpoint.taxonomy)
    with pytest.raises(AssertionError, match="eval"):
        embed(encoder, checkpoint.preparation, store)
