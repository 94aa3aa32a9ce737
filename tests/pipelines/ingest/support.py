"""Small catalogues, and an oracle that embeds their pictures one by one."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.duet import encode
from model.encoder import EncoderConfig
from model.manipulation import GlobalHead, HeadConfig
from model.preparation import ImagePreparation
from model.prototypes import Prototypes
from model.systems.m3net import M3Net
from model.taxonomy import Attribute, Taxonomy
from pipelines.data.images import prepare
from pipelines.index.naming import DEAD_LETTERS, GLOBAL, ITEMS, attribute_table, class_table
from pipelines.index.snapshot import Snapshot
from pipelines.index.store import Index

TAXONOMY = Taxonomy(
    (Attribute("collar design", ("round", "v-neck")), Attribute("Muster/größe", ("dots", "it's", "tribal"), True))
)
BROKEN = b"\xff\xd8\xff\xe0 this is no picture"


@dataclass(frozen=True)
class Entry:
    """A row of a catalogue."""

    look: int = 0
    labels: tuple[str, ...] = ()
    price: int | None = None
    broken: bool = False

    @property
    def image(self) -> bytes:
        return BROKEN + bytes([self.look]) if self.broken else picture(self.look)

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.image).hexdigest()


@cache
def picture(look: int) -> bytes:
    """A JPEG of 40x48 pixels."""
    small = np.random.default_rng(look).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(small).resize((40, 48), Image.Resampling.NEAREST).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def write_checkpoint(folder: Path, *, seed: int = 0, taxonomy: Taxonomy = TAXONOMY) -> Path:
    """An untrained encoder for 32x32 pixels."""
    torch.manual_seed(seed)
    encoder = M3Net(EncoderConfig(backbone="resnet18", hidden=8, threshold=0.5), taxonomy).eval()
    head = GlobalHead(HeadConfig(), taxonomy, encoder.width, 8).eval()
    torch.nn.init.orthogonal_(head.project.weight)
    vectors = torch.nn.functional.normalize(torch.randn(taxonomy.class_count, encoder.width), dim=-1)
    prototypes = Prototypes(vectors, vectors, torch.ones(taxonomy.class_count))
    save_checkpoint(folder, encoder, ImagePreparation(32, 32), prototypes=prototypes, head=head)
    return folder


def write_manifest(path: Path, catalogue: Mapping[str, Entry]) -> str:
    """A Parquet manifest with the pictures in it."""
    rows = [
        {
            "item_id": item_id,
            "image": entry.image,
            TAXONOMY.names[1]: list(entry.labels),
            "price": entry.price,
        }
        for item_id, entry in catalogue.items()
    ]
    schema = pa.schema(
        [
            ("item_id", pa.string()),
            ("image", pa.binary()),
            (TAXONOMY.names[1], pa.list_(pa.string())),
            ("price", pa.int64()),
        ]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=64)
    return str(path)


def catalogue(count: int, start: int = 0) -> dict[str, Entry]:
    """Items with pictures and labels of their own."""
    return {
        f"item '{number}'": Entry(number, ("dots",) if number % 3 else (), number)
        for number in range(start, start + count)
    }


@dataclass
class Oracle:
    """What an index must hold of a catalogue; a picture is embedded alone and once."""

    checkpoint: Checkpoint
    known: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> Oracle:
        return cls(load_checkpoint(folder))

    def embed(self, look: int) -> dict[str, Any]:
        if look not in self.known:
            pixels = prepare(picture(look), self.checkpoint.preparation)
            duet = encode(self.checkpoint.encoder, torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])
            assert self.checkpoint.head is not None and duet.class_embeddings is not None
            chosen: dict[str, dict[str, tuple[float, np.ndarray]]] = {name: {} for name in TAXONOMY.names}
            for index, vector in zip(duet.pairs.class_index.tolist(), duet.class_embeddings.numpy(), strict=True):
                attribute, name = TAXONOMY.class_name(index)
                chosen[attribute][name] = (float(duet.probabilities[0, index]), vector)
            with torch.inference_mode():
                whole = self.checkpoint.head(duet.attribute_embeddings)[0].numpy()
            self.known[look] = {
                "attributes": duet.attribute_embeddings[0].numpy(),
                "classes": chosen,
                "global": whole,
            }
        return self.known[look]

    def check(self, index: Index, wanted: Mapping[str, Entry], snapshot: Snapshot | None = None) -> None:
        """A snapshot (the published one by default), read with plain LanceDB, holds exactly these items."""
        snapshot = snapshot or index.latest()
        assert snapshot is not None
        database = lancedb.connect(index.uri)
        tables = {}
        for name, version in snapshot.versions.items():
            table = database.open_table(f"{snapshot.generation}.{name}")
            table.checkout(version)
            tables[name] = [row for row in table.to_arrow().to_pylist() if row.get("item_id", "x") >= " "]
        items = {row["item_id"]: row for row in tables[ITEMS]}
        assert len(items) == len(tables[ITEMS]), "an item twice"
        assert items.keys() == wanted.keys()
        for item_id, entry in wanted.items():
            row = items[item_id]
            assert row["image_hash"] == entry.hash
            assert row["labels"] == {TAXONOMY.names[0]: [], TAXONOMY.names[1]: list(entry.labels)}
            assert row["metadata"] == {"price": entry.price}
        looks = {item_id: self.embed(entry.look) for item_id, entry in wanted.items()}
        for n, attribute in enumerate(TAXONOMY.names):
            rows = tables[attribute_table(attribute)]
            assert sorted(row["item_id"] for row in rows) == sorted(wanted)
            for row in rows:
                expected = looks[row["item_id"]]
                close(row["embedding"], expected["attributes"][n])
                assert row["classes"] == list(expected["classes"][attribute])
                close(row["probabilities"], [p for p, _ in expected["classes"][attribute].values()])
            rows = tables[class_table(attribute)]
            pairs = [(row["item_id"], row["class"]) for row in rows]
            assert sorted(pairs) == sorted((i, c) for i in wanted for c in looks[i]["classes"][attribute])
            for row in rows:
                expected = looks[row["item_id"]]["classes"][attribute]
                close(row["embedding"], expected[row["class"]][1])
                close([row["probability"]], [expected[row["class"]][0]])
                assert row["other_classes"] == [c for c in expected if c != row["class"]]
        assert sorted(row["item_id"] for row in tables[GLOBAL]) == sorted(wanted)
        for row in tables[GLOBAL]:
            close(row["embedding"], looks[row["item_id"]]["global"])
        assert snapshot.counts == {name: len(rows) for name, rows in tables.items()}
        assert {row["item_id"] for row in tables[DEAD_LETTERS]}.isdisjoint(wanted)


def close(stored: Any, expected: Any) -> None:
    """Equal to the precision of float16."""
    np.testing.assert_allclose(np.asarray(stored, np.float32), np.asarray(expected, np.float32), atol=2e-3)


def orphans(uri: Path) -> set[Path]:
    """Files of the tables of the only generation that no version has."""
    index, left = Index.open(uri), set[Path]()
    (generation,) = index.generations()
    for table in generation.committed_tables:
        folder = Path(index.table_uri(table, generation.name)) / "data"
        left |= set(folder.iterdir())
        for version in index.dataset(table, generation.name).versions():
            for fragment in index.dataset(table, generation.name, version["version"]).get_fragments():
                left -= {folder / file.path for file in fragment.data_files()}
    return left
