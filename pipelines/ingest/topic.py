"""A Kafka topic of changes: messages become manifests, offsets lie in the index.

A message's key is the item's id (without one, the ``item_id`` in its value is). Its value is a JSON object, a row of
a manifest whose picture is an ``image_uri``; no value deletes the item. Of several messages about one item the last
one counts, so that a batch is what it leaves: a manifest of what comes, and one of what goes. Offsets are written
(``offsets.lance``) when a batch is published; a run that is killed before reads the batch again, which changes
nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import confluent_kafka
import lance
import pyarrow as pa
import ray

from pipelines.data.files import Source
from pipelines.errors import ManifestError
from pipelines.index.datasets import create_dataset, open_dataset
from pipelines.index.store import Index

from .drops import DELETES
from .quiet import quiet_data

_MESSAGES = 10_000  # of a partition and batch at most
_TIMEOUT_MS = 10_000  # of a read; what it has not reached is read later
_BROKER_S = 10.0
_READER_CPUS = 0.25
_SCHEMA = pa.schema(
    [
        pa.field("topic", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),  # of the next message
    ]
)
_log = logging.getLogger(__name__)


class Topic:
    """The changes of a topic, batch by batch; `pipelines.ingest.watch` treats them as it does dropped manifests.

    Offsets are kept by the topic's name, whichever brokers it is read from.

    Args:
        index: that takes them in.
        address: ``kafka://HOST:PORT,…/TOPIC``.
        folder: for the manifests of a batch, an empty one.
        config: librdkafka's settings of a consumer (security.protocol, sasl.mechanism, …).

    Raises:
        ManifestError: the address names no broker or topic.
    """

    def __init__(self, index: Index, address: str, folder: Path, config: Mapping[str, Any]) -> None:
        servers, _, self._topic = address.removeprefix("kafka://").partition("/")
        if not self._topic or not all(":" in server for server in servers.split(",")):
            raise ManifestError(f"{address}: a topic is kafka://HOST:PORT,…/TOPIC")
        self._servers, self._folder, self._config = servers.split(","), folder, config
        self._uri = index.table_uri("offsets")
        create_dataset(self._uri, _SCHEMA.empty_table())
        rows = open_dataset(self._uri).to_table().to_pylist()
        self._next = {row["partition"]: row["offset"] for row in rows if row["topic"] == self._topic}
        self._reached: dict[int, int] = {}  # by partition, what the batch that waits ends at
        self._waiting: list[Source] = []

    def waiting(self) -> list[Source]:
        """The manifests of the next batch: none, or one or two; the one of deletions last. Ray must run.

        Raises:
            ManifestError: the brokers do not answer, or have no such topic.
        """
        if not self._waiting:
            ranges = self._ranges()
            if any(start < end for start, end in ranges.values()):
                self._waiting = self._write(self._read(ranges))
        return list(self._waiting)

    def rewritten(self) -> list[Source]:
        """Messages stay what they are."""
        return []

    def name_of(self, source: Source) -> str:
        """What is said of a manifest: the topic, and the offsets up to which its batch goes, by partition."""
        reached = ", ".join(f"{number}:{offset}" for number, offset in sorted(self._reached.items()))
        what = "deletions" if source.path.endswith(f"{DELETES}.jsonl") else "changes"
        return f"{self._topic} up to {reached}, {what}"

    def taken(self, source: Source) -> None:
        """Record that a manifest is published; with the last one of a batch, its offsets are."""
        self._waiting.remove(source)
        if not self._waiting:
            self._advance()

    def _advance(self) -> None:
        self._next |= self._reached
        others = [row for row in open_dataset(self._uri).to_table().to_pylist() if row["topic"] != self._topic]
        own = [{"topic": self._topic, "partition": p, "offset": offset} for p, offset in sorted(self._next.items())]
        rows = pa.Table.from_pylist([*others, *own], schema=_SCHEMA)
        dataset = lance.write_dataset(rows, self._uri, mode="overwrite")
        if dataset.version % 64 == 0:
            dataset.cleanup_old_versions(retain_versions=1)

    def _ranges(self) -> dict[int, tuple[int, int]]:
        """Partition -> offsets of the next batch, the second exclusive."""
        consumer = confluent_kafka.Consumer(
            {**self._config, "bootstrap.servers": ",".join(self._servers), "group.id": "duet-ingest"}
        )
        try:
            found = consumer.list_topics(self._topic, timeout=_BROKER_S).topics[self._topic]
            if found.error is not None or not found.partitions:
                raise ManifestError(f"{','.join(self._servers)} has no topic {self._topic!r}")
            ranges = {}
            for number in found.partitions:
                place = confluent_kafka.TopicPartition(self._topic, number)
                low, high = consumer.get_watermark_offsets(place, timeout=_BROKER_S)
                start = max(low, self._next.get(number, low))
                if start > high:
                    _log.warning("%s/%d has been made anew: it is read from its beginning", self._topic, number)
                    start = low
                ranges[number] = start, min(high, start + _MESSAGES)
            return ranges
        except confluent_kafka.KafkaException as error:
            raise ManifestError(f"Kafka at {','.join(self._servers)}: {error.args[0].str()}") from error
        finally:
            consumer.close()

    def _read(self, ranges: Mapping[int, tuple[int, int]]) -> Iterator[dict[str, Any]]:
        """The messages of these ranges, those of a partition in order."""
        with quiet_data():
            messages = ray.data.read_kafka(
                self._topic,
                bootstrap_servers=self._servers,
                start_offset={self._topic: {number: start for number, (start, _) in ranges.items()}},
                end_offset={self._topic: {number: end for number, (_, end) in ranges.items()}},
                consumer_config=dict(self._config),
                timeout_ms=_TIMEOUT_MS,
                num_cpus=_READER_CPUS,
            )
        for batch in messages.iter_batches(batch_size=None, batch_format="pyarrow"):
            assert isinstance(batch, pa.Table)
            yield from batch.select(["partition", "offset", "key", "value", "timestamp"]).to_pylist()

    def _write(self, messages: Iterator[dict[str, Any]]) -> list[Source]:
        """The manifests that a batch leaves."""
        last: dict[str, dict[str, Any] | None] = {}
        latest_ms = 0
        self._reached = {}
        for message in messages:
            item_id, row = self._row(message)
            last.pop(item_id, None)  # so that the order is that of the last messages
            last[item_id] = row
            number = message["partition"]
            self._reached[number] = max(self._reached.get(number, 0), message["offset"] + 1)
            latest_ms = max(latest_ms, message["timestamp"])
        written = []
        for name, chosen in (
            ("changes.jsonl", [row for row in last.values() if row is not None]),
            (f"changes{DELETES}.jsonl", [{"item_id": item_id} for item_id, row in last.items() if row is None]),
        ):
            if chosen:
                path = self._folder / name
                path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in chosen), encoding="utf-8")
                written.append(Source(str(path), "jsonl", path.stat().st_size, latest_ms * 10**6))
        return written

    def _row(self, message: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
        """An item's id and row; None = it goes. What is no row becomes one without a picture: a dead letter."""
        place = f"{self._topic}/{message['partition']}/{message['offset']}"
        try:
            key = None if message["key"] is None else message["key"].decode()
            if message["value"] is None and key is not None:
                return key, None
            row = json.loads(message["value"] or b"")
            if not isinstance(row, dict):
                raise ValueError("not a JSON object")
        except ValueError as error:  # of the encoding, too
            _log.warning("message %s is no row of a manifest: %s", place, error)
            return place, {"item_id": place}
        item_id = key if key is not None else row.get("item_id")
        return str(item_id or place), {**row, "item_id": str(item_id or place)}
