"""Weights from files: those that fit, and those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

import model.backbone
from model.backbone import BACKBONES, Backbone
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


def test_weights_without_layer4_do_where_it_is_not_used(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    cut = tmp_path / "cut.pth"
    torch.save({name: tensor for name, tensor in state.items() if not name.startswith(("layer4.", "fc."))}, cut)
    Backbone("resnet18", str(cut))
    with pytest.raises(EncoderError, match=r"layer4.* is missing"):
        Backbone("resnet18", str(cut), deep=True)
    deep = Backbone("resnet18", str(weights), deep=True)
    assert torch.equal(deep.layer4[0].conv1.weight, state["layer4.0.conv1.weight"])


@pytest.mark.parametrize("name", BACKBONES)
def test_imagenet_is_what_the_papers_started_from(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded here: torchvision is asked for the weights' name."""
    asked = []

    def maker(weights: str | None) -> torchvision.models.ResNet:
        asked.append(torchvision.models.get_model_weights(name)[weights])
        return torchvision.models.resnet18()

    monkeypatch.setitem(model.backbone._MAKERS, name, maker)
    Backbone(name, "imagenet")
    assert [weights.name for weights in asked] == ["IMAGENET1K_V1"]


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
