"""Half precision, as `torch.autocast` computes it on a CPU, against float32: a stated error for every system."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch.nn import functional as F

from model.duet import encode
from model.systems import SYSTEMS
from tests.model.networks import encoder, pictures

# Measured over all systems, random ResNet-18s of three seeds and three pictures each, the largest: 1 − cos to the
# float32 embedding 6e-5 (FashionSearchNet; others 2.5e-5) in bfloat16 and 1e-6 in float16; of P 0.0085 and 0.0012.
BOUNDS = {torch.bfloat16: (2e-4, 0.02), torch.float16: (1e-5, 0.004)}


@cache
def computes(precision: torch.dtype) -> bool:
    """Whether this CPU has the kernels: autocast casts convolutions and products."""
    try:
        with torch.autocast("cpu", precision):
            F.conv2d(torch.ones(1, 4, 4, 4), torch.ones(4, 4, 3, 3)) @ torch.ones(2, 2)
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("precision", BOUNDS, ids=str)
@pytest.mark.parametrize("name", SYSTEMS)
def test_stays_close(name: str, precision: torch.dtype) -> None:
    if not computes(precision):
        pytest.skip(f"torch has no {precision} on this CPU")
    net, images = encoder(name), pictures(3)
    exact = encode(net, images)
    with torch.autocast("cpu", precision):
        rough = encode(net, images, also=exact.predicted)
    angle, difference = BOUNDS[precision]
    cosines = (exact.attribute_embeddings * rough.attribute_embeddings).sum(-1)
    assert cosines.min() > 1 - angle
    assert (exact.probabilities - rough.probabilities).abs().max() < difference
    assert not torch.equal(exact.attribute_embeddings, rough.attribute_embeddings), "nothing was computed in halves"
    if exact.class_embeddings is not None:
        assert rough.class_embeddings is not None
        asked = exact.predicted[rough.pairs.image, rough.pairs.class_index]
        assert (exact.class_embeddings * rough.class_embeddings[asked]).sum(-1).min() > 1 - angle
