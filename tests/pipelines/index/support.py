"""A small encoder's checkpoint without weights worth keeping, and an oracle of what the tables must hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import lancedb
import numpy as np
import pyarrow as pa
import torch

from model.checkpoint import Checkpoint
from model.encoder import EncoderConfig
from model.manipulation import GlobalHead, HeadConfig
from model.preparation import ImagePreparation
from model.prototypes import Prototypes
from model.systems.m3net import M3Net
from model.taxonomy import Attribute, Taxonomy
from pipelines.index.committer import Committer
from pipelines.index.datasets import write_rows
from pipelines.index.naming import DEAD_LETTERS, GLOBAL, ITEMS, PROTOTYPES, attribute_table, class_table
from pipelines.index.receipt import DeadLetter, Receipt

TAXONOMY = Taxonomy(
    (Attribute("collar design", ("round", "v-neck")), Attribute("Muster/größe", ("dots", "it's", "tribal"), True))
)
HOSTILE_IDS = (
    "o'clock",
    "''; DROP TABLE items; --",
    'say "hi"',
    "back\\slash\\",
    "%_*[a-z]",
    "日本の帯",
    "naïve",
    "🧥",
    "a" * 512,
    "NULL",
    "x' OR item_id LIKE '%",
    "{curly} ${x}",
    " leading blank",
    "`tick`",
)


@cache
def checkpoint(has_classes: bool = True, seed: int = 0) -> Checkpoint:
    """An untrained encoder of width 256, with a global head of width 8 and prototypes of all but the first class."""
    torch.manual_seed(seed)
    system = "m3net" if has_classes else "m3net_a"
    encoder = M3Net(EncoderConfig(system=system, backbone="resnet18", hidden=8), TAXONOMY).eval()
    head = GlobalHead(HeadConfig(), TAXONOMY, encoder.width, 8).eval()
    torch.nn.init.orthogonal_(head.project.weight)
    vectors = torch.nn.functional.normalize(torch.randn(TAXONOMY.class_count, encoder.width), dim=-1)
    prototypes = Prototypes(vectors, vectors.flip(0) if has_classes else None, torch.arange(TAXONOMY.class_count))
    digest = hashlib.sha256(f"{system}{seed}".encode()).hexdigest()
    return Checkpoint(encoder, ImagePreparation(32, 32), prototypes, head, {}, digest)


@dataclass(frozen=True)
class Item:
    """What an index holds of one item: everything follows from `look` but the label."""

    look: int
    label: str = "round"

    def classes(self, attribute: int) -> list[str]:
        names = TAXONOMY.attributes[attribute].classes
        return [name for bit, name in enumerate(names) if (self.look + attribute) >> bit & 1] or [names[0]]

    def vector(self, table: str, key: str, width: int) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(f"{self.look}/{table}/{key}".encode()).digest()[:4])
        vector = np.random.default_rng(seed).standard_normal(width)
        return (vector / np.linalg.norm(vector)).astype(np.float16)


def rows(committer: Committer, items: Mapping[str, Item], sequence: int, table: str) -> pa.Table:
    """The rows of a table that items have."""
    schema = committer.datasets[table].schema
    records: list[dict[str, object]] = []
    for item_id, item in items.items():
        record: dict[str, object] = {"item_id": item_id}
        if table == ITEMS:
            labels = {TAXONOMY.names[0]: [item.label], TAXONOMY.names[1]: []}
            record |= {"image_hash": str(item.look), "row_hash": item.label, "labels": labels, "sequence": sequence}
            records.append(record)
        elif table == GLOBAL:
            records.append(record | {"embedding": item.vector(table, "", 8)})
        elif table.startswith("attribute-"):
            n = [attribute_table(name) for name in TAXONOMY.names].index(table)
            classes = item.classes(n)
            vector = item.vector(table, "", 256)
            records.append(record | {"embedding": vector, "classes": classes, "probabilities": [0.5] * len(classes)})
        else:
            n = [class_table(name) for name in TAXONOMY.names].index(table)
            classes = item.classes(n)
            for name in classes:
                others = [other for other in classes if other != name]
                vector = item.vector(table, name, 256)
                record = {"class": name, "item_id": item_id, "embedding": vector, "probability": 0.5}
                records.append(record | {"other_classes": others})
    return pa.Table.from_pylist(records, schema=schema)


def receipt(
    committer: Committer,
    *,
    upserts: Mapping[str, Item] | None = None,
    relabels: Mapping[str, Item] | None = None,
    deletes: Iterable[str] = (),
    letters: Iterable[str] = (),
    sequence: int | None = None,
) -> Receipt:
    """The receipt of a worker that wrote these changes."""
    upserts, relabels = upserts or {}, relabels or {}
    sequence = committer.sequence + 1 if sequence is None else sequence
    fragments = {
        table: write_rows(committer.datasets[table], rows(committer, upserts, sequence, table))
        for table in committer.generation.committed_tables
        if table not in (ITEMS, DEAD_LETTERS)
    }
    items = rows(committer, {**upserts, **relabels}, sequence, ITEMS)
    fragments[ITEMS] = write_rows(committer.datasets[ITEMS], items)
    dead = tuple(DeadLetter(item_id, "decode", "TRUNCATED", "cut short") for item_id in letters)
    return Receipt(sequence, (*upserts, *deletes), tuple(relabels), fragments, dead)


def assert_tables_hold(committer: Committer, items: Mapping[str, Item]) -> None:
    """Every table, read with plain LanceDB, holds exactly the rows of these items, and one sentinel."""
    database = lancedb.connect(committer.index.uri)
    for table in committer.generation.tables:
        if table in (PROTOTYPES, DEAD_LETTERS):
            continue
        stored = database.open_table(f"{committer.generation.name}.{table}").to_arrow().to_pylist()
        sentinels = [row for row in stored if row["item_id"] < " "]
        assert len(sentinels) == 1, table
        assert sentinels[0]["item_id"].endswith(committer.mark), table
        expected = rows(committer, items, 0, table).to_pylist()
        assert _sorted(row for row in stored if row["item_id"] >= " ") == _sorted(expected), table


def _sorted(records: Iterable[Mapping[str, object]]) -> list[str]:
    return sorted(repr({k: v for k, v in record.items() if k != "sequence"}) for record in records)
