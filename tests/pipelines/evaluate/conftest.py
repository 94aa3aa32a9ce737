"""A small labelled catalogue of drawn pictures, and a random encoder for it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageDraw

from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.encoder import EncoderConfig
from model.manipulation import GlobalHead, HeadConfig
from model.preparation import ImagePreparation
from model.systems.m3net import M3Net
from pipelines.data.item_store import ItemStore
from pipelines.data.manifest import Manifest
from pipelines.data.taxonomy import build_taxonomy

COLOURS = {"red": (220, 40, 40), "green": (40, 160, 60), "blue": (50, 70, 210)}
MARKS = ("dot", "frame", "line")


def picture(colour: str, shape: str, marks: list[str]) -> bytes:
    """A coloured shape with marks on it, as PNG."""
    image = Image.new("RGB", (40, 48), "white")
    draw = ImageDraw.Draw(image)
    (draw.ellipse if shape == "round" else draw.rectangle)((4, 6, 35, 41), fill=COLOURS[colour])
    if "dot" in marks:
        draw.ellipse((14, 16, 22, 24), fill="black")
    if "frame" in marks:
        draw.rectangle((1, 1, 38, 46), outline="black", width=2)
    if "line" in marks:
        draw.line((4, 34, 35, 34), fill="white", width=3)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def rows(count: int) -> pa.Table:
    """A manifest: two single-label attributes, a multi-label one, some of each unknown; splits train and test."""
    rng = np.random.default_rng(1)
    made = []
    for number in range(count):
        colour, shape = str(rng.choice(list(COLOURS))), str(rng.choice(["round", "square"]))
        marks = [mark for mark in MARKS if rng.random() < 0.5]
        made.append(
            {
                "item_id": f"item-{number}",
                "image": picture(colour, shape, marks),
                "colour": [] if rng.random() < 0.1 else [colour],
                "shape": [shape],
                "marks": marks,  # none: unknown
                "split": "test" if number % 4 else "train",
            }
        )
    names = pa.list_(pa.string())
    fields = [("item_id", pa.string()), ("image", pa.binary()), ("colour", names), ("shape", names), ("marks", names)]
    return pa.Table.from_pylist(made, pa.schema([*fields, ("split", pa.string())]))


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest, 48 items of which 36 are the test split."""
    path = tmp_path_factory.mktemp("catalogue") / "items.parquet"
    pq.write_table(rows(48), path)
    return path


@pytest.fixture(scope="session")
def checkpoint_folder(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random M3-Net with a random global head."""
    torch.manual_seed(0)
    taxonomy = build_taxonomy(Manifest.open([str(catalogue)]))
    encoder = M3Net(EncoderConfig(backbone="resnet18", hidden=32), taxonomy)
    head = GlobalHead(HeadConfig(), taxonomy, encoder.width, 24)
    torch.nn.init.normal_(head.memory)
    folder = tmp_path_factory.mktemp("model") / "checkpoint"
    save_checkpoint(folder, encoder.eval(), ImagePreparation(48, 40), head=head)
    return folder


@pytest.fixture(scope="session")
def checkpoint(checkpoint_folder: Path) -> Checkpoint:
    return load_checkpoint(checkpoint_folder)


@pytest.fixture(scope="session")
def store(catalogue: Path, checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> ItemStore:
    """The test split."""
    manifest = Manifest.open([str(catalogue)])
    return ItemStore.open(manifest, checkpoint.taxonomy, split="test", cache=tmp_path_factory.mktemp("cache"))
