"""ASEN++'s weights from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from model.encoder import EncoderConfig
from model.errors import EncoderError
from model.systems import build_encoder
from model.systems.asen_pp import ASENpp
from tests.model.networks import TAXONOMY


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
