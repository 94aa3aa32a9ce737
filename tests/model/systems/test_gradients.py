"""Gradients of what stands between a map and its embeddings, by finite differences at tiny sizes.

`gradcheck` moves parameters where they lie: what is called reads them from their module.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from model.attention import ChannelAttention, ClassSpatialAttention, SpatialAttention
from model.encoder import EncoderConfig
from model.systems import SYSTEMS, base, build_encoder, m3net
from model.systems.base import AttributeEncoder
from model.systems.conditional import ConditionalAttention
from model.systems.fashionsearchnet import FashionSearchNet
from model.systems.posterior import Posterior
from tests.model.networks import TAXONOMY

CHANNELS, HIDDEN = 4, 3


class TinyBackbone(nn.Module):
    """The widths of a backbone, and nothing else."""

    channels = CHANNELS

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()


def holds(call: Callable[[], Tensor], *leaves: Tensor) -> bool:
    return bool(torch.autograd.gradcheck(lambda *_: call(), leaves))


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("training", [False, True])
def test_spatial_attention(training: bool) -> None:
    torch.manual_seed(0)
    module, psi = SpatialAttention(2, CHANNELS, HIDDEN).double().train(training), random(2, 5, CHANNELS)
    assert holds(lambda: module(psi), psi, *module.parameters())


@pytest.mark.parametrize("attended", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_class_spatial_attention(training: bool, attended: bool) -> None:
    """Of the attribute's attention too, through which a class' gradient comes back to it."""
    torch.manual_seed(0)
    module, psi = ClassSpatialAttention((2, 3), CHANNELS, HIDDEN).double().train(training), random(2, 5, CHANNELS)
    attention = torch.rand(2, 2, 5, dtype=torch.float64).softmax(2).requires_grad_() if attended else None
    leaves = (psi, *module.parameters()) if attention is None else (psi, attention, *module.parameters())
    assert holds(lambda: module(psi, attention), *leaves)


def test_channel_attention() -> None:
    torch.manual_seed(0)
    module, vectors, labels = (
        ChannelAttention(2, CHANNELS, HIDDEN).double(),
        random(3, CHANNELS),
        torch.tensor([0, 1, 0]),
    )
    assert holds(lambda: module(vectors, labels), vectors, *module.parameters())


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("norm", "training"), [(True, False), (True, True), (False, False)])
def test_conditional_attention(norm: bool, training: bool, own: bool) -> None:
    """Conditions that all images share, and one of each image's own (ASEN++'s local branch)."""
    torch.manual_seed(0)
    module = ConditionalAttention(2, CHANNELS, HIDDEN, norm=norm).double().train(training)
    psi, conditions = random(2, 5, CHANNELS), random(2, 1, 2) if own else random(3, 2)
    assert holds(lambda: module(psi, conditions)[0], psi, conditions, *module.parameters())


def tiny(name: str, monkeypatch: pytest.MonkeyPatch) -> AttributeEncoder:
    monkeypatch.setattr(base, "Backbone", TinyBackbone)
    torch.manual_seed(0)
    net = build_encoder(EncoderConfig(system=name, backbone="resnet18", hidden=HIDDEN), TAXONOMY)
    assert isinstance(net, AttributeEncoder)
    return net.double().eval()


EMBEDDING = ["classifier", "triplet", "csn", "asen", "asen_v2", "attnfashion", "agman", "modc", "amnet"]


def test_every_system_has_its_gradients_checked() -> None:
    """ASEN++ and M3-Net by modules, FashionSearchNet and posteriors below; regions are torchvision's, and float32."""
    assert {*EMBEDDING, "asen_pp", "fashionsearchnet", "m3net", "m3net_a", "m3net_c", "posterior"} == set(SYSTEMS)


@pytest.mark.parametrize("name", EMBEDDING)
def test_embedding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the map and of every parameter that the embedding reads."""
    net = tiny(name, monkeypatch)
    psi = random(2, HIDDEN if name == "agman" else CHANNELS, 2, 2)  # AG-MAN's is of the lifted map
    total = net.embed(psi).vectors.sum()
    trained = [p for p in net.parameters() if p.requires_grad]
    used = [
        p for p, g in zip(trained, torch.autograd.grad(total, trained, allow_unused=True), strict=True) if g is not None
    ]
    assert used
    assert holds(lambda: net.embed(psi).vectors, psi, *used)


def test_activation_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """FashionSearchNet's class scores, from which the first stage learns."""
    net = tiny("fashionsearchnet", monkeypatch).train()
    assert isinstance(net, FashionSearchNet) and net.stage == 0
    psi = random(2, CHANNELS, 2, 2)
    read = (*net.conv6.parameters(), *net.conv7.parameters(), *net.maps.parameters())
    assert holds(lambda: net.embed(psi).state[0], psi, *read)


def test_posteriors_as_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    """With multi-label sums of squares on both sides of 1, where they begin to be scaled down."""
    monkeypatch.setattr(m3net, "Backbone", TinyBackbone)
    net = build_encoder(EncoderConfig(system="posterior", backbone="resnet18", hidden=HIDDEN), TAXONOMY)
    assert isinstance(net, Posterior)
    probabilities = torch.full((2, TAXONOMY.class_count), 0.3, dtype=torch.float64)
    probabilities[1, TAXONOMY.span(1)] = torch.tensor([0.9, 0.8, 0.1, 0.2], dtype=torch.float64)
    probabilities.requires_grad_()
    assert holds(lambda: net._unit(probabilities), probabilities)
