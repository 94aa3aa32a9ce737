from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from pipelines.errors import ImageError
from pipelines.search.limits import Limits
from pipelines.search.query import CheckpointEncoder, QueryDuet
from pipelines.serve.batching import BatchingEncoder
from pipelines.serve.settings import ServeSettings

from .shop import Shop, picture


def same(one: QueryDuet, other: QueryDuet) -> None:
    np.testing.assert_allclose(one.attribute_embeddings, other.attribute_embeddings, atol=1e-5)
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    assert (one.carried == other.carried).all() and one.class_embeddings.keys() == other.class_embeddings.keys()
    for index, vector in one.class_embeddings.items():
        np.testing.assert_allclose(vector, other.class_embeddings[index], atol=1e-5)


def test_a_batch_answers_each_with_its_own(shop: Shop) -> None:
    alone = CheckpointEncoder(shop.checkpoint, Limits())
    together = BatchingEncoder(shop.checkpoint, Limits(), batch=4, window=0.2)
    asked = [(picture(seed), (seed % 9, (seed * 5 + 1) % 9)) for seed in range(10)]
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda one: together.encode(*one), asked))
    for one, answer in zip(asked, answers, strict=True):
        same(answer, alone.encode(*one))
    together.close()


def test_concurrent_pictures_share_a_pass(shop: Shop) -> None:
    passes = []
    hook = shop.checkpoint.encoder.backbone.register_forward_hook(lambda *call: passes.append(len(call[1][0])))  # type: ignore[union-attr, operator]
    encoder = BatchingEncoder(shop.checkpoint, Limits(), batch=4, window=5)
    gate = threading.Barrier(6)

    def encode(seed: int) -> None:
        gate.wait()
        encoder.encode(picture(seed), ())

    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(encode, seed) for seed in range(6)]
        encoder_closed = threading.Timer(1.0, encoder.close)  # ends the second batch's wait for a third
        encoder_closed.start()
        for one in done:
            one.result(20)
    hook.remove()
    assert passes == [4, 2]


def test_by_default_a_batch_can_fill() -> None:
    chosen = ServeSettings(index="here")
    assert chosen.threads >= chosen.batch


def test_a_bad_picture_fails_alone(shop: Shop) -> None:
    encoder = BatchingEncoder(shop.checkpoint, Limits(), window=0.1)
    with ThreadPoolExecutor(2) as pool:
        good, bad = pool.submit(encoder.encode, picture(1), ()), pool.submit(encoder.encode, b"no picture", ())
        assert good.result(20).attribute_embeddings.shape == (3, 256)
        with pytest.raises(ImageError):
            bad.result(20)
    encoder.close()


def test_an_encoder_that_fails_fails_the_batch_and_goes_on(shop: Shop) -> None:
    broken: Checkpoint = replace(shop.checkpoint)
    encoder = BatchingEncoder(broken, Limits())
    with pytest.raises(IndexError):
        encoder.encode(picture(1), (99,))  # no such class
    same(encoder.encode(picture(1), ()), CheckpointEncoder(shop.checkpoint, Limits()).encode(picture(1), ()))
    encoder.close()


def test_after_the_end_a_picture_is_still_encoded(shop: Shop) -> None:
    encoder = BatchingEncoder(shop.checkpoint, Limits())
    encoder.close()
    encoder.close()
    same(encoder.encode(picture(2), (1,)), CheckpointEncoder(shop.checkpoint, Limits()).encode(picture(2), (1,)))
