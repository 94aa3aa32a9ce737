from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from model.checkpoint import load_checkpoint, save_checkpoint
from model.duet import encode
from model.errors import CheckpointError
from model.manipulation import GlobalHead, HeadConfig
from model.preparation import ImagePreparation
from model.prototypes import Prototypes

from .networks import TAXONOMY, network, pictures

PREPARATION = ImagePreparation(48, 36)


def prototypes() -> Prototypes:
    return Prototypes(torch.randn(9, 256), torch.randn(9, 256), torch.arange(9.0))


@pytest.mark.parametrize("system", ["m3net", "m3net_a", "m3net_c"])
def test_round_trip(tmp_path: Path, system: str) -> None:
    net, means, head = (
        network(system).to(memory_format=torch.channels_last),
        prototypes(),
        GlobalHead(HeadConfig(), TAXONOMY, 256, 32),
    )
    digest = save_checkpoint(tmp_path / "c", net, PREPARATION, prototypes=means, head=head, metrics={"map": 0.5})
    loaded = load_checkpoint(tmp_path / "c")
    assert loaded.digest == digest and loaded.preparation == PREPARATION and loaded.taxonomy == TAXONOMY
    assert loaded.metrics == {"map": 0.5} and not loaded.encoder.training
    assert loaded.prototypes is not None and torch.equal(loaded.prototypes.attribute, means.attribute)
    assert loaded.head is not None and torch.equal(loaded.head.project.weight, head.project.weight)
    first, second = encode(net, pictures(2)), encode(loaded.encoder, pictures(2))
    assert torch.equal(first.attribute_embeddings, second.attribute_embeddings)


def test_digest_names_the_model_and_nothing_else(tmp_path: Path) -> None:
    first = save_checkpoint(tmp_path / "a", network(), PREPARATION, metrics={"map": 0.1})
    assert save_checkpoint(tmp_path / "b", network(), PREPARATION, metrics={"map": 0.2}) == first
    assert save_checkpoint(tmp_path / "c", network(seed=1), PREPARATION) != first
    assert save_checkpoint(tmp_path / "d", network(), ImagePreparation(48, 40)) != first


def test_overwrites_at_once_and_leaves_nothing_beside(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", network(), PREPARATION, prototypes=prototypes())
    digest = save_checkpoint(tmp_path / "c", network(seed=1), PREPARATION)
    loaded = load_checkpoint(tmp_path / "c")
    assert loaded.digest == digest and loaded.prototypes is None
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("file", ["checkpoint.json", "encoder.safetensors"])
def test_missing_file_is_named(tmp_path: Path, file: str) -> None:
    save_checkpoint(tmp_path / "c", network(), PREPARATION)
    (tmp_path / "c" / file).unlink()
    with pytest.raises(CheckpointError, match=str(tmp_path / "c")):
        load_checkpoint(tmp_path / "c")


def test_damage_is_found(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", network(), PREPARATION)
    path = tmp_path / "c" / "encoder.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path / "c")


@pytest.mark.parametrize("text", ["", "{}", '{"format": 99, "digest": "", "metrics": {}}', "[1]"])
def test_foreign_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "checkpoint.json").write_text(text)
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)


def test_json_is_readable(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", network(), PREPARATION)
    about = json.loads((tmp_path / "c" / "checkpoint.json").read_text())
    assert about["taxonomy"]["attributes"][2]["name"] == "Größe"
