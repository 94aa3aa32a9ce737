"""Checkpoints: a folder of safetensors and JSON, written at once or not at all. Nothing in it is unpickled.

    checkpoint.json        format, encoder settings, taxonomy, image preparation, metrics, digest
    encoder.safetensors    weights of the encoder
    head.safetensors       manipulation memory and global head (where trained)
    prototypes.safetensors class means of the training set (where computed)

The *digest* names the model: a SHA-256 over everything that changes an embedding, and over no metric or date.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from .encoder import Encoder, EncoderConfig
from .errors import CheckpointError, DuetError
from .manipulation import HeadConfig, ManipulationHead, build_head
from .preparation import ImagePreparation
from .prototypes import Prototypes
from .systems import build_encoder
from .taxonomy import Taxonomy

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint; the encoder and the head are in evaluation mode.

    Attributes:
        digest: SHA-256 (hex), the model's identity.
    """

    encoder: Encoder
    preparation: ImagePreparation
    prototypes: Prototypes | None
    head: ManipulationHead | None
    metrics: Mapping[str, Any]
    digest: str

    @property
    def taxonomy(self) -> Taxonomy:
        """The attributes and classes that the encoder knows."""
        return self.encoder.taxonomy


def save_checkpoint(
    folder: str | Path,
    encoder: Encoder,
    preparation: ImagePreparation,
    *,
    prototypes: Prototypes | None = None,
    head: ManipulationHead | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> str:
    """Write a checkpoint beside ``folder`` and rename it into place. Returns its digest."""
    folder = Path(folder)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    about: dict[str, Any] = {
        "format": FORMAT,
        "encoder": asdict(encoder.config),
        "taxonomy": encoder.taxonomy.to_json(),
        "preparation": preparation.to_json(),
    }
    _save_tensors(temporary / "encoder.safetensors", encoder.state_dict())
    if head is not None:
        about["global_width"], about["head"] = head.width, asdict(head.config)
        _save_tensors(temporary / "head.safetensors", head.state_dict())
    if prototypes is not None:
        tensors = {"attribute": prototypes.attribute, "counts": prototypes.counts}
        if prototypes.class_level is not None:
            tensors["class_level"] = prototypes.class_level
        _save_tensors(temporary / "prototypes.safetensors", tensors)
    digest = _digest(temporary, about)
    text = json.dumps({**about, "metrics": dict(metrics or {}), "digest": digest}, indent=2, ensure_ascii=False)
    (temporary / "checkpoint.json").write_text(text + "\n", encoding="utf-8")
    _replace(temporary, folder)
    return digest


def load_checkpoint(folder: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Read a checkpoint and verify its digest.

    Raises:
        CheckpointError: missing, of another format, or damaged; names the file.
    """
    folder = Path(folder)
    path = folder / "checkpoint.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        stated, metrics = about.pop("digest"), about.pop("metrics")
        if about["format"] != FORMAT:
            raise CheckpointError(f"{path} has format {about['format']}; this version of Duet reads {FORMAT}")
        if _digest(folder, about) != stated:
            raise CheckpointError(f"checkpoint {folder} is damaged: its files do not have the digest that it states")
        taxonomy = Taxonomy.from_json(about["taxonomy"])
        encoder = build_encoder(EncoderConfig(**{**about["encoder"], "weights": "none"}), taxonomy)
        encoder.load_state_dict(load_file(folder / "encoder.safetensors"))
        head = None
        if "global_width" in about:
            head_config = HeadConfig(**about.get("head", {}))
            head = build_head(head_config, taxonomy, encoder.width, about["global_width"])
            head.load_state_dict(load_file(folder / "head.safetensors"))
            head = head.to(device).eval().requires_grad_(False)
        prototypes = _load_prototypes(folder / "prototypes.safetensors", device)
        preparation = ImagePreparation(**about["preparation"])
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} is no checkpoint: {error.filename} does not exist") from error
    except (KeyError, TypeError, json.JSONDecodeError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"checkpoint {folder} cannot be read: {error}") from error
    except CheckpointError:
        raise
    except DuetError as error:
        raise CheckpointError(f"checkpoint {folder}: {error}") from error
    # Channels last: a ResNet-50 on two cores encodes a fifth more pictures.
    encoder = encoder.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    return Checkpoint(encoder, preparation, prototypes, head, metrics, stated)


def _load_prototypes(path: Path, device: str | torch.device) -> Prototypes | None:
    if not path.exists():
        return None
    tensors = load_file(path, device=str(device))
    return Prototypes(tensors["attribute"], tensors.get("class_level"), tensors["counts"])


def _save_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, path)


def _digest(folder: Path, about: Mapping[str, Any]) -> str:
    # The file that pretrained weights came from names a machine's path and does not change an embedding.
    about = {**about, "encoder": {k: v for k, v in about["encoder"].items() if k != "weights"}}
    total = hashlib.sha256(json.dumps(about, sort_keys=True, ensure_ascii=True).encode())
    for name in ("encoder.safetensors", "head.safetensors", "prototypes.safetensors"):
        if (folder / name).exists():
            with (folder / name).open("rb") as stream:
                total.update(name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def _replace(temporary: Path, folder: Path) -> None:
    """Rename over an existing folder: the old one steps aside first, and goes last."""
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
