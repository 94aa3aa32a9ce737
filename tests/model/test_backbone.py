"""Weights from files: those that fit, and those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from model.backbone import Backbone
from model.errors import EncoderError


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), path)
    return path


def test_weights_of_a_file(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    save_file(state, tmp_path / "resnet18.safetensors")
    for path in (weights, tmp_path / "resnet18.safetensors"):
        backbone = Backbone("resnet18", str(path))
        for name, tensor in backbone.state_dict().items():
            assert torch.equal(tensor, state[name]), name


@pytest.mark.parametrize("name", ["resnet34", "resnet50"])
def test_weights_of_another_network_are_refused(weights: Path, name: str) -> None:
    with pytest.raises(EncoderError, match=rf"resnet18\.pth does not hold .*{name}"):
        Backbone(name, str(weights))


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 nor these"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_other_files_are_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"text{suffix}"
    path.write_bytes(content)
    with pytest.raises(EncoderError, match="text"):
        Backbone("resnet18", str(path))


def test_no_file() -> None:
    with pytest.raises(EncoderError, match="do not exist"):
        Backbone("resnet18", "nowhere.pth")
