"""ASEN++ against its literal version, its boxes by hand, its stages, and its weights from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from model.encoder import EncoderConfig
from model.errors import EncoderError
from model.preparation import normalize
from model.systems import build_encoder
from model.systems.asen_pp import ASENpp, attention_boxes
from tests.model.networks import TAXONOMY, encoder, pictures

from .literal import literal_asen_pp

COUNT = len(TAXONOMY.attributes)


def test_both_branches_start_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    torch.manual_seed(0)
    state = torchvision.models.resnet18().state_dict()
    torch.save(state, path)
    net = build_encoder(EncoderConfig(system="asen_pp", backbone="resnet18", weights=str(path)), TAXONOMY)
    assert isinstance(net, ASENpp)
    for branch in (net.backbone, net.local_backbone):
        for name, tensor in branch.state_dict().items():
            assert torch.equal(tensor, state[name]), name


def test_a_file_for_one_branch_alone_is_told(tmp_path: Path) -> None:
    path = tmp_path / "resnet50.pth"
    torch.save(torchvision.models.resnet50().state_dict(), path)
    with pytest.raises(EncoderError, match="local branch is a resnet34"):
        build_encoder(EncoderConfig(system="asen_pp", backbone="resnet50", weights=str(path)), TAXONOMY)


@torch.no_grad()
def test_asen_pp() -> None:
    """From end to end, with the boxes that its attention gives; sharp enough, unlike a new network's, to be places."""
    net, images = encoder("asen_pp"), pictures(3, 96, 64)
    assert isinstance(net, ASENpp)
    conv1 = net.attention.conv1
    assert conv1.bias is not None
    conv1.weight *= 10
    mean = net.backbone(normalize(images)).mean((0, 2, 3))
    conv1.bias.copy_(-conv1.weight[:, :, 0, 0] @ mean)  # else the keys' tanh is the same everywhere
    net.attr_embedding.weight *= 30
    embeddings = net.attributes(images).embeddings
    boxes = []
    for b, n in torch.cartesian_prod(torch.arange(3), torch.arange(COUNT)).tolist():
        whole, local, box = literal_asen_pp(net, images[b], n)
        torch.testing.assert_close(embeddings[b, n, : net.channels], 0.6**0.5 * whole, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(embeddings[b, n, net.channels :], 0.4**0.5 * local, atol=1e-5, rtol=1e-4)
        boxes.append(tuple(box))
    sides = [right - left for left, _, right, _ in boxes]
    assert len(set(boxes)) > 4 and min(sides) < 64 < max(sides)  # the larger hang out of the picture
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
