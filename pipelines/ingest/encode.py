"""The worker: a chunk of pending rows -> uncommitted fragments of every table, and a receipt."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from cluster.cores import cores
from model.checkpoint import load_checkpoint
from model.duet import encode
from model.errors import ImageError
from pipelines.errors import CheckpointError
from pipelines.index.datasets import write_tables
from pipelines.index.naming import ITEMS
from pipelines.index.receipt import DeadLetter, Receipt
from pipelines.index.store import Index

from .chunk import Action
from .pictures import Picture, decode_pictures
from .report import Report
from .rows import Encoded, embedding_rows, join
from .transport import pack_receipt, unpack

_NOT_FINITE = ImageError("NOT_FINITE", "the encoder's output for this picture is not finite")


@dataclass(frozen=True)
class EncodePlan:
    """What a worker needs to know. Plain data.

    Args:
        checkpoint: folder.
        model_digest: that the checkpoint must have.
        index_uri: of the index.
        generation: name of the generation.
        device: ``cpu`` or ``cuda``.
        batch: images per pass.
        threads: of torch, and as many for decoding; 0 = this machine's cores divided among the actors, 1 at least.
        thumbnail_size: longest side in pixels; 0 = none.
        actors: how many there are of such workers.
    """

    checkpoint: str
    model_digest: str
    index_uri: str
    generation: str
    device: str
    batch: int
    threads: int
    thumbnail_size: int
    actors: int = 1

    def threads_here(self) -> int:
        """Threads of a worker on this machine."""
        return self.threads or max(1, cores() // self.actors)


class EncodeWorker:
    """An actor of Ray Data; also callable without Ray.

    Raises:
        CheckpointError: on starting, if the checkpoint is another one than the run began with.
    """

    def __init__(self, plan: EncodePlan) -> None:
        threads = plan.threads_here()
        torch.set_num_threads(threads)
        self._plan = plan
        self._checkpoint = load_checkpoint(plan.checkpoint, plan.device)
        if self._checkpoint.digest != plan.model_digest:
            raise CheckpointError(f"checkpoint {plan.checkpoint} was replaced while its items were being indexed")
        self.reopen()
        self._threads = ThreadPoolExecutor(threads, "decode")

    def reopen(self) -> None:
        """Open the tables as they are now: a run may have added metadata columns."""
        index = Index(self._plan.index_uri)
        tables = index.generation(self._plan.generation).committed_tables
        self._datasets = {table: index.dataset(table, self._plan.generation) for table in tables}

    def __call__(self, packed: pa.Table) -> pa.Table:
        """A chunk (of `transport.pack`) -> its receipt (of `transport.pack_receipt`)."""
        sequence, rows, report = unpack(packed)
        receipt = self.index_chunk(sequence, rows, report)
        return pack_receipt(receipt, report)

    def index_chunk(self, sequence: int, rows: pa.Table, report: Report) -> Receipt:
        """Embed and write the rows of a chunk; `report` is brought up to date."""
        actions = np.asarray(rows["action"].to_pylist(), dtype=object)
        letters = [
            DeadLetter(row["item_id"], "read", row["code"], row["message"], row["image_hash"])
            for row in rows.filter(pa.array(actions == Action.REFUSED)).to_pylist()
        ]
        pending = rows.filter(pa.array(np.isin(actions, (Action.NEW, Action.CHANGED))))
        encoded, outcomes = self._encode(pending, report)
        good = np.asarray([isinstance(outcome, Picture) for outcome in outcomes], dtype=bool)
        for row, outcome in zip(pending.select(["item_id", "action", "image_hash"]).to_pylist(), outcomes, strict=True):
            if isinstance(outcome, ImageError):
                stage = "encode" if outcome is _NOT_FINITE else "decode"
                letters.append(DeadLetter(row["item_id"], stage, outcome.code, str(outcome), row["image_hash"]))
                report.refuse(row["action"], outcome.code)
        pending = pending.filter(pa.array(good))
        thumbnails = [outcome.thumbnail for outcome in outcomes if isinstance(outcome, Picture)]
        relabelled = rows.filter(pa.array(actions == Action.RELABELLED))
        began = time.perf_counter()
        tables = {ITEMS: self._item_rows(pending, thumbnails, relabelled, sequence)}
        item_ids = pending["item_id"].to_pylist()
        if encoded is not None:
            tables |= embedding_rows(encoded, item_ids, self._checkpoint.taxonomy)
        fragments = write_tables(self._datasets, tables)
        report.spend("write", time.perf_counter() - began)
        return Receipt(
            sequence,
            tuple(item_ids),
            tuple(relabelled["item_id"].to_pylist()),
            fragments,
            tuple(letters),
            encoded.vectors if encoded is not None else 0,
            cleared=tuple(rows.filter(pa.array(actions == Action.UNCHANGED))["item_id"].to_pylist()),
        )

    def _encode(self, pending: pa.Table, report: Report) -> tuple[Encoded | None, list[Picture | ImageError]]:
        """The good pictures' duets (None if there are none), and what each picture became."""
        pictures = self._pictures(pending)
        outcomes: list[Picture | ImageError] = []
        parts: list[Encoded] = []
        while True:
            began = time.perf_counter()
            drawn = list(islice(pictures, self._plan.batch))
            report.spend("decode", time.perf_counter() - began)
            if not drawn:
                break
            began = time.perf_counter()
            batch = [picture for picture in drawn if isinstance(picture, Picture)]
            if batch:
                part = self._encode_batch(batch)
                finite = part.finite()
                parts.append(part.take(finite))
                verdicts = iter(finite)
                drawn = [
                    _NOT_FINITE if isinstance(picture, Picture) and not next(verdicts) else picture for picture in drawn
                ]
            outcomes += [Picture(_NO_PIXELS, p.thumbnail) if isinstance(p, Picture) else p for p in drawn]
            report.spend("encode", time.perf_counter() - began)
        return (join(parts) if parts else None), outcomes

    def _pictures(self, pending: pa.Table) -> Iterator[Picture | ImageError]:
        """Pictures of the rows, decoded here unless a stage of its own did (column ``pixels``)."""
        if "pixels" in pending.column_names:
            preparation = self._checkpoint.preparation
            return unpack_pictures(pending, (preparation.height, preparation.width, 3))
        images = pending["image"].to_pylist()
        return decode_pictures(images, self._checkpoint.preparation, self._plan.thumbnail_size, self._threads)

    def _encode_batch(self, pictures: Sequence[Picture]) -> Encoded:
        pixels = torch.from_numpy(np.stack([picture.pixels for picture in pictures])).permute(0, 3, 1, 2)
        duet = encode(self._checkpoint.encoder, pixels.to(self._plan.device))
        head = self._checkpoint.head
        with torch.inference_mode():
            whole = None if head is None else head(duet.attribute_embeddings)
        return Encoded(
            duet.attribute_embeddings.cpu().numpy(),
            duet.probabilities.cpu().numpy(),
            duet.pairs.image.cpu().numpy(),
            duet.pairs.class_index.cpu().numpy(),
            None if duet.class_embeddings is None else duet.class_embeddings.cpu().numpy(),
            None if whole is None else whole.cpu().numpy(),
        )

    def _item_rows(
        self, pending: pa.Table, thumbnails: Sequence[bytes | None], relabelled: pa.Table, sequence: int
    ) -> pa.Table:
        """Rows of ``items``: new ones with the new thumbnail, relabelled ones with the one that they had."""
        schema = self._datasets[ITEMS].schema
        both = pa.concat_tables([pending.select(_KEPT), relabelled.select(_KEPT)])
        columns: dict[str, Any] = defaultdict(lambda: None, {name: both[name] for name in _KEPT})
        old = relabelled["thumbnail"].to_pylist()
        columns["thumbnail"] = pa.array([*thumbnails, *old], schema.field("thumbnail").type)
        columns["sequence"] = pa.array([sequence] * both.num_rows, pa.int64())
        return pa.table([columns[name] for name in schema.names], schema=schema)


_KEPT = ["item_id", "image_hash", "row_hash", "image_uri", "labels", "metadata"]
_NO_PIXELS = np.empty((0, 0, 3), np.uint8)  # an encoded picture need not be kept


def unpack_pictures(rows: pa.Table, shape: tuple[int, int, int]) -> Iterator[Picture | ImageError]:
    """Pictures that a decoding stage put into the rows (`pipelines.ingest.decode_stage`)."""
    for pixels, thumbnail, code, message in zip(
        rows["pixels"], rows["thumbnail"], rows["code"], rows["message"], strict=True
    ):
        if code.is_valid:
            yield ImageError(code.as_py(), message.as_py())
        else:
            yield Picture(np.frombuffer(pixels.as_buffer(), np.uint8).reshape(shape), thumbnail.as_py())
