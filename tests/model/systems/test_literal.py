"""Each fused system agrees with its literal version, and has the papers' sizes."""

from __future__ import annotations

import pytest
import torch

from model.encoder import EncoderConfig
from model.systems import SYSTEMS, build_encoder, build_objective
from model.systems.agman import AGMAN, AGMANObjective
from model.systems.amnet import AMNet
from model.systems.asen import ASEN
from model.systems.asen_v2 import ASENv2
from model.systems.attnfashion import AttnFashion
from model.systems.classifier import Classifier
from model.systems.csn import CSN
from model.systems.modc import MODC
from model.systems.triplet import TripletNetwork
from model.taxonomy import Attribute, Taxonomy
from tests.model.networks import TAXONOMY, encoder, pictures

from .literal import (
    literal_agman,
    literal_asen,
    literal_attnfashion,
    literal_classifier,
    literal_conditional,
    literal_csn,
    literal_one_space,
)

COUNT = len(TAXONOMY.attributes)
EIGHT = Taxonomy(tuple(Attribute(f"attribute {n}", ("a", "b")) for n in range(8)))


def cases(system: str) -> list[tuple[str, ...]]:
    """No switch, each switch alone."""
    return [(), *((switch,) for switch in SYSTEMS[system].switches)]


@torch.no_grad()
@pytest.mark.parametrize("switches", cases("asen"))
def test_asen(switches: tuple[str, ...]) -> None:
    net, images = encoder("asen", *switches), pictures(2)
    assert isinstance(net, ASEN)
    fused = net.attributes(images).embeddings
    for b, n in torch.cartesian_prod(torch.arange(2), torch.arange(COUNT)).tolist():
        torch.testing.assert_close(fused[b, n], literal_asen(net, images[b], n), atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("switches", cases("asen_v2"))
def test_asen_v2(switches: tuple[str, ...]) -> None:
    net, images = encoder("asen_v2", *switches), pictures(2)
    assert isinstance(net, ASENv2)
    fused, psi = net.attributes(images).embeddings, net.backbone((images.float() / 255 - MEAN) / STD)
    for b, n in torch.cartesian_prod(torch.arange(2), torch.arange(COUNT)).tolist():
        literal = literal_conditional(net.attention, psi[b : b + 1], net.attr_embedding.weight[n])
        torch.testing.assert_close(fused[b, n], literal, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_modc_is_asen_v2_and_a_layer() -> None:
    net, images = encoder("modc"), pictures(2)
    assert isinstance(net, MODC) and net.width == 2 * net.channels
    fused, psi = net.attributes(images).embeddings, net.backbone((images.float() / 255 - MEAN) / STD)
    for b, n in torch.cartesian_prod(torch.arange(2), torch.arange(COUNT)).tolist():
        literal = net.feature_fc(literal_conditional(net.attention, psi[b : b + 1], net.attr_embedding.weight[n]))
        torch.testing.assert_close(fused[b, n], literal, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("switches", cases("csn"))
def test_csn(switches: tuple[str, ...]) -> None:
    net, images = encoder("csn", *switches), pictures(2)
    assert isinstance(net, CSN)
    fused = net.attributes(images).embeddings
    for b, n in torch.cartesian_prod(torch.arange(2), torch.arange(COUNT)).tolist():
        torch.testing.assert_close(fused[b, n], literal_csn(net, images[b], n), atol=1e-5, rtol=1e-4)


def test_csn_masks() -> None:
    fixed, disjoint = encoder("csn", "fixed", "original"), encoder("csn", "disjoint")
    assert isinstance(fixed, CSN) and isinstance(disjoint, CSN)
    assert fixed.width == 64 and not fixed.masks.weight.requires_grad and disjoint.masks.weight.requires_grad
    share = 64 // COUNT
    assert fixed.masks.weight.sum(1).tolist() == [share] * COUNT
    assert float((fixed.masks.weight @ fixed.masks.weight.T).triu(1).sum()) == 0
    assert sorted(set(disjoint.masks.weight.flatten().tolist())) == pytest.approx([0.1, 1.0])


@torch.no_grad()
@pytest.mark.parametrize("switches", cases("agman"))
def test_agman(switches: tuple[str, ...]) -> None:
    net, images = encoder("agman", *switches), pictures(2)
    assert isinstance(net, AGMAN)
    if hasattr(net, "w1"):
        net.w1.fill_(-0.7)  # the largest channel is then the smallest
    output = net.attributes(images)
    for b, n in torch.cartesian_prod(torch.arange(2), torch.arange(COUNT)).tolist():
        embedding, branch = literal_agman(net, images[b], n)
        torch.testing.assert_close(output.embeddings[b, n], embedding, atol=1e-5, rtol=1e-4)
        if branch is not None:
            torch.testing.assert_close(output.state[0][b], branch, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_classifier() -> None:
    net, images = encoder("classifier"), pictures(2)
    assert isinstance(net, Classifier)
    output = net.attributes(images)
    probabilities = torch.sigmoid(output.logits)
    for b, n in torch.cartesian_prod(torch.arange(2), torch.arange(COUNT)).tolist():
        hidden, scores = literal_classifier(net, images[b], n)
        assert (hidden == 0).any() and (hidden > 0).any()
        torch.testing.assert_close(output.embeddings[b, n], hidden, atol=1e-5, rtol=1e-4)
        expected = torch.sigmoid(scores) if TAXONOMY.attributes[n].multi_label else scores.softmax(0)
        torch.testing.assert_close(probabilities[b, TAXONOMY.span(n)], expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("system", ["triplet", "amnet"])
def test_one_space(system: str) -> None:
    net, images = encoder(system), pictures(2)
    assert isinstance(net, TripletNetwork | AMNet)
    fused = net.attributes(images).embeddings
    for b in range(2):
        literal = literal_one_space(net, images[b]).expand(COUNT, -1)
        assert (literal < 0).any()
        torch.testing.assert_close(fused[b], literal, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_attnfashion() -> None:
    net, images = encoder("attnfashion"), pictures(2)
    assert isinstance(net, AttnFashion)
    for weight in (net.spatial_key.weight, net.spatial_score.weight):
        weight *= 4  # else attention is uniform but for a hundredth
    output = net.attributes(images)
    for b, n in torch.cartesian_prod(torch.arange(2), torch.arange(COUNT)).tolist():
        literal = literal_attnfashion(net, images[b], n)
        torch.testing.assert_close(output.embeddings[b, n], literal, atol=1e-5, rtol=1e-4)
    assert output.attention is not None and output.attention.max() > 2 * output.attention.min()


def test_sizes_of_the_public_code() -> None:
    """Design 2 §7: with ResNet-50 and 8 attributes."""

    def size(system: str) -> int:
        net = build_encoder(EncoderConfig(system=system, backbone="resnet50"), EIGHT)
        return sum(parameter.numel() for parameter in net.parameters())

    assert size("asen") == 11_704_897
    assert size("asen_v2") - 8_543_296 == 2_367_488


MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def test_weights_of_agmans_losses_are_learned_unless_switched_off() -> None:
    for switches, learned in (((), True), (("without_weights",), False)):
        objective = build_objective(SYSTEMS["agman"].losses, encoder("agman", *switches))
        assert isinstance(objective, AGMANObjective)
        assert objective.log_variance.tolist() == [0, 0] and objective.log_variance.requires_grad is learned
