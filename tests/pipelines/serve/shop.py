"""A small shop: drawn pictures, a random-initialised M3-Net, a real index, and servers of it on loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.encoder import EncoderConfig
from model.manipulation import GlobalHead, HeadConfig
from model.preparation import ImagePreparation
from model.prototypes import Prototypes
from model.systems import build_encoder
from pipelines.data.images import prepare
from pipelines.index.naming import GLOBAL, ITEMS, attribute_table, class_table
from pipelines.index.schema import attribute_schema, class_schema, global_schema, items_schema
from pipelines.index.snapshot import Snapshot
from pipelines.index.store import Index
from pipelines.search.limits import Limits
from pipelines.search.query import QueryDuet, encode_images
from pipelines.serve.in_process import InProcess
from pipelines.serve.observing import Observer
from pipelines.serve.server import Server
from pipelines.serve.settings import ServeSettings
from tests.pipelines.search.indexed import publish_tables
from tests.pipelines.search.world import METADATA, TAXONOMY


def picture(seed: int, kind: str = "PNG") -> bytes:
    """Some rectangles."""
    rng = np.random.default_rng(seed)
    pixels = np.full((48, 40, 3), 255, np.uint8)
    for _ in range(5):
        top, left = rng.integers(0, 30, 2)
        pixels[top : top + 18, left : left + 12] = rng.integers(0, 256, 3)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def make_checkpoint(folder: Path, seed: int, *, head: bool = True, system: str = "m3net") -> Checkpoint:
    torch.manual_seed(seed)
    encoder = build_encoder(EncoderConfig(system, "resnet18", hidden=16), TAXONOMY).eval()
    global_head = GlobalHead(HeadConfig(), TAXONOMY, encoder.width, 8) if head else None
    unit = torch.nn.functional.normalize(torch.randn(TAXONOMY.class_count, encoder.width), dim=-1)
    class_level = None
    if encoder.class_width is not None:
        class_level = torch.nn.functional.normalize(torch.randn(TAXONOMY.class_count, encoder.class_width), dim=-1)
    prototypes = Prototypes(unit, class_level, torch.ones(TAXONOMY.class_count))
    if global_head is not None:
        global_head.start(prototypes)
    save_checkpoint(folder, encoder, ImagePreparation(32, 32), prototypes=prototypes, head=global_head)
    return load_checkpoint(folder)


@dataclass(frozen=True)
class Shop:
    """An index and the checkpoint that it is embedded with."""

    index: Index
    checkpoint: Checkpoint
    checkpoint_folder: Path

    def stock(self, seeds: Sequence[int], deleted: Sequence[str] = ()) -> Snapshot:
        """Upsert one item per seed (`item_id`, `picture`), and publish."""
        images = [prepare(picture(seed), self.checkpoint.preparation) for seed in seeds]
        duets = encode_images(self.checkpoint, images, [()] * len(images))
        tables = tables_of([item_id(seed) for seed in seeds], seeds, duets, self.checkpoint)
        return publish_tables(self.index, self.checkpoint, str(self.checkpoint_folder), tables, deleted=deleted)


def item_id(seed: int) -> str:
    return f"it's a/{seed:03d}"


def make_shop(folder: Path, count: int = 20, *, like: Shop | None = None, head: bool = True) -> Shop:
    """A shop with its first items; with another's checkpoint, which takes a second to make, or one of its own."""
    if like is None:
        checkpoint_folder = folder / "checkpoint"
        checkpoint = make_checkpoint(checkpoint_folder, 0, head=head)
    else:
        checkpoint_folder, checkpoint = like.checkpoint_folder, like.checkpoint
    shop = Shop(Index.create(folder / "index"), checkpoint, checkpoint_folder)
    if count:
        shop.stock(range(count))
    return shop


def tables_of(
    ids: Sequence[str], seeds: Sequence[int], duets: Sequence[QueryDuet], checkpoint: Checkpoint
) -> dict[str, pa.Table]:
    width, head = checkpoint.encoder.width, checkpoint.head
    items = [
        {
            "item_id": one,
            "image_uri": f"shop/{seed}.png",
            "labels": {"collar": ["polo"], "pattern": [], "colour": None},
            "metadata": {"price": seed, "brand": "O'Brien" if seed % 2 else None},
            "thumbnail": picture(seed, "JPEG"),
            "sequence": 1,
        }
        for one, seed in zip(ids, seeds, strict=True)
    ]
    tables = {ITEMS: pa.Table.from_pylist(items, schema=items_schema(TAXONOMY, METADATA))}
    for n, attribute in enumerate(TAXONOMY.attributes):
        rows: list[dict[str, Any]] = []
        class_rows: list[dict[str, Any]] = []
        for one, duet in zip(ids, duets, strict=True):
            carried = [m for m in range(*TAXONOMY.offsets[n : n + 2]) if duet.carried[m]]
            names = [TAXONOMY.class_name(m)[1] for m in carried]
            probabilities = [float(duet.probabilities[m]) for m in carried]
            vector = duet.attribute_embeddings[n].astype(np.float16)
            rows.append({"item_id": one, "embedding": vector, "classes": names, "probabilities": probabilities})
            class_rows += [
                {"class": name, "item_id": one, "embedding": duet.class_embeddings[m].astype(np.float16)}
                for m, name in zip(carried, names, strict=True)
                if checkpoint.encoder.has_classes
            ]
        tables[attribute_table(attribute.name)] = pa.Table.from_pylist(rows, schema=attribute_schema(width))
        if checkpoint.encoder.class_width is not None:
            schema = class_schema(checkpoint.encoder.class_width)
            tables[class_table(attribute.name)] = pa.Table.from_pylist(class_rows, schema=schema)
    if head is not None:
        with torch.no_grad():
            merged = head(torch.from_numpy(np.stack([duet.attribute_embeddings for duet in duets]))).numpy()
        rows = [{"item_id": one, "embedding": v.astype(np.float16)} for one, v in zip(ids, merged, strict=True)]
        tables[GLOBAL] = pa.Table.from_pylist(rows, schema=global_schema(head.width))
    return tables


@dataclass
class Running:
    """A server in a thread with an event loop of its own."""

    port: int
    server: Server
    loop: asyncio.AbstractEventLoop
    stopped: bool = False

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def under_way(self) -> int:
        """Calls that it works on, or that wait; of a server that answers itself."""
        backend = self.server._backend
        assert isinstance(backend, InProcess)
        return backend.calls._under_way

    def stop(self) -> None:
        self.stopped = True
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(60)


@contextmanager
def serving(
    shop: Shop, limits: Limits | None = None, observers: Sequence[Observer] = (), **settings: Any
) -> Iterator[Running]:
    """Serve a shop, looking for a new snapshot every 50 ms."""
    chosen = ServeSettings(index=shop.index.uri, **{"port": 0, "poll_seconds": 0.05, "drain_seconds": 5, **settings})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[Server, int]:
        server = Server(shop.index, chosen, limits, observers)
        return server, await server.start()

    try:
        server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
        running = Running(port, server, loop)
        yield running
        if not running.stopped:
            running.stop()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
