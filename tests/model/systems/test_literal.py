"""Each fused system agrees with its literal version, and has the papers' sizes."""

from __future__ import annotations

import pytest
import torch

from model.encoder import EncoderConfig
from model.systems import SYSTEMS, build_encoder, build_objective
from model.systems.agman import AGMAN, AGMANObjective
from model.systems.asen import ASEN
from model.systems.asen_pp import ASENpp, attention_boxes
from model.systems.asen_v2 import ASENv2
from model.systems.conditional import ConditionalAttention
from model.systems.csn import CSN
from model.systems.modc import MODC
from model.taxonomy import Attribute, Taxonomy
from tests.model.networks import TAXONOMY, encoder, pictures

from .literal import literal_agman, literal_asen, literal_asen_pp, literal_conditional, literal_csn

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
def test_asen_pp() -> None:
    """With boxes as large as the crop, which then is plain slicing; `attention_boxes` has its own tests."""
    net, images = encoder("asen_pp"), pictures(2, 64, 48)
    assert isinstance(net, ASENpp)
    embeddings = net.attributes(images).embeddings
    box = (8, 16, 40, 48)
    local = net.local((images.float() / 255 - MEAN) / STD, torch.tensor(box).float().expand(2, COUNT, 4))
    for b, n in torch.cartesian_prod(torch.arange(2), torch.arange(COUNT)).tolist():
        whole, cropped = literal_asen_pp(net, images[b], n, box)
        torch.testing.assert_close(embeddings[b, n, : net.channels], 0.6**0.5 * whole, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(local[b, n], cropped, atol=1e-5, rtol=1e-4)
    assert embeddings.norm(dim=-1).sub(1).abs().max() < 1e-5  # β and 1 − β


def test_boxes_by_hand() -> None:
    maps = torch.zeros(1, 3, 8, 8)
    maps[0, 0, 2:4, 5:6] = 1  # tall and narrow
    maps[0, 2, 0, 0] = 1  # in the corner; map 1 is constant
    tall, constant, corner = attention_boxes(maps, (8, 8), 0.5)[0].tolist()
    assert tall == [4.5, 2, 6.5, 4]
    assert constant == [0, 0, 8, 8]
    assert corner == [0, 0, 1, 1]


def test_constant_maps_give_the_whole_picture_at_every_size() -> None:
    """Interpolation and softmax leave rounding, which must not be taken for a place."""
    generator = torch.Generator().manual_seed(0)
    for h, w in torch.cartesian_prod(torch.arange(1, 15), torch.arange(1, 15)).tolist():
        scores = torch.randn(4, 1, generator=generator).expand(4, h * w)
        maps = torch.cat([scores.softmax(1), torch.full((1, h * w), 1 / (h * w)), torch.zeros(1, h * w)])
        for scale in (8, 13, 16):
            height, width = h * scale, w * scale
            side = max(height, width)
            left, top = (width - side) / 2, (height - side) / 2
            boxes = attention_boxes(maps.view(1, 6, h, w), (height, width), 0.1)
            assert boxes[0].tolist() == [[left, top, left + side, top + side]] * 6, (h, w, scale)


def test_a_faint_place_is_still_a_place() -> None:
    maps = torch.full((1, 1, 8, 8), 1 / 64)
    maps[0, 0, 2, 5] *= 1.001
    assert attention_boxes(maps, (8, 8), 0.5)[0, 0].tolist() == [5, 2, 6, 3]


def test_boxes_stay_in_the_picture_and_hold_what_is_attended() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(6, 4, 5, 3, generator=generator) ** 6
    height, width = 40, 24
    boxes = attention_boxes(maps, (height, width), 0.1)
    large = torch.nn.functional.interpolate(maps, (height, width), mode="bilinear", align_corners=False)
    for b, n in torch.cartesian_prod(torch.arange(6), torch.arange(4)).tolist():
        left, top, right, bottom = boxes[b, n].tolist()
        assert right - left == bottom - top > 0
        assert top >= 0 and bottom <= height and ((left >= 0 and right <= width) or right - left > width)
        scaled = (large[b, n] - large[b, n].min()) / (large[b, n].max() - large[b, n].min())
        rows, columns = (scaled >= 0.1).nonzero(as_tuple=True)
        assert left <= columns.min() and columns.max() < right and top <= rows.min() and rows.max() < bottom


def test_first_stage_of_asen_pp_has_no_local_branch() -> None:
    net = encoder("asen_pp")
    assert isinstance(net, ASENpp)
    assert net.stage == 1  # untrained as it is: a network out of a file is whole
    for training in (True, False):
        net.train(training)
        for stage in (0, 1):
            net.stage = stage
            assert bool(net.attributes(pictures(2)).embeddings[..., net.channels :].any()) is (stage == 1)
    assert net.rates("backbone.conv1.weight") == (1.0, 0.1) and net.rates("local_feature_fc.bias") == (1.0, 1.0)


def test_sizes_of_the_public_code() -> None:
    """Design 2 §7: with ResNet-50 and 8 attributes."""

    def size(system: str) -> int:
        net = build_encoder(EncoderConfig(system=system, backbone="resnet50"), EIGHT)
        return sum(parameter.numel() for parameter in net.parameters())

    assert size("asen") == 11_704_897
    assert size("asen_v2") - 8_543_296 == 2_367_488


def test_gradients_by_finite_differences() -> None:
    torch.manual_seed(0)
    module = ConditionalAttention(3, 4, 2).double().eval()
    psi = torch.randn(2, 5, 4, dtype=torch.double, requires_grad=True)
    conditions = torch.randn(3, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, c: module(x, c)[0], (psi, conditions))
    own = torch.randn(2, 1, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, c: module(x, c)[0], (psi, own))


MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def test_weights_of_agmans_losses_are_learned_unless_switched_off() -> None:
    for switches, learned in (((), True), (("without_weights",), False)):
        objective = build_objective(SYSTEMS["agman"].losses, encoder("agman", *switches))
        assert isinstance(objective, AGMANObjective)
        assert objective.log_variance.tolist() == [0, 0] and objective.log_variance.requires_grad is learned
