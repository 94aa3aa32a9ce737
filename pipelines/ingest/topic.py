"""A Kafka topic of changes: messages become manifests, offsets lie in the index.

A message's key is the item's id (without one, the ``item_id`` in its value is). Its value is a JSON object, a row of
a manifest whose picture is an ``image_uri``; no value deletes the item. Of several messages about one item the last
one counts, so that a batch is what it leaves: a manifest of what comes, and one of what goes. One that is no row is a
row without a picture in it, and so becomes a dead letter. Offsets are written (``offsets.lance``) when a batch is
committed; a run that is killed before reads the batch again.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import confluent_kafka
import pyarrow as pa
import ray

from pipelines.data.files import Source, locate
from pipelines.errors import ManifestError
from pipelines.index.store import Index

from .drops import DELETES
from .fields import Fields
from .message import key_id, row_id, value_row
from .offsets import Offsets
from .quiet import quiet_data

_MESSAGES = 10_000  # of a partition and batch at most
_TIMEOUT_MS = 10_000  # of a read; what it has not reached is read later
_BROKER_S = 10.0
_READER_CPUS = 0.25
_log = logging.getLogger(__name__)


class Topic:
    """The changes of a topic, batch by batch; `pipelines.ingest.watch` treats them as it does dropped manifests.

    Offsets are kept by the topic's name, whichever brokers it is read from. The manifests of a batch lie in the index
    (``topics``), where all nodes of Ray can read them, until it is taken in.

    Args:
        index: that takes them in.
        address: ``kafka://HOST:PORT,…/TOPIC``.
        config: librdkafka's settings of a consumer (security.protocol, sasl.mechanism, …).
        attributes: fields that are labels (`IngestSettings.attributes`).

    Raises:
        ManifestError: the address names no broker or topic.
    """

    def __init__(
        self,
        index: Index,
        address: str,
        config: Mapping[str, Any],
        attributes: Sequence[str] | None = None,
    ) -> None:
        servers, _, self._topic = address.removeprefix("kafka://").partition("/")
        if not self._topic or not all(":" in server for server in servers.split(",")):
            raise ManifestError(f"{address}: a topic is kafka://HOST:PORT,…/TOPIC")
        self._servers, self._config = servers.split(","), config
        self._folder = f"{index.uri}/topics/{self._topic}/{uuid.uuid4().hex}"  # another watch may be ending
        self._index, self._attributes = index, attributes
        self._offsets = Offsets(index, self._topic)
        self._next = self._offsets.read()
        self._reached: dict[int, int] = {}  # by partition, what the batch that waits ends at
        self._cut: set[int] = set()  # partitions that have more than the batch does
        self._oldest_ms, self._latest_ms = 0, dict[int, int]()  # the first of the batch; the last of each partition
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

    def fresh_at(self, rest: Sequence[Source], looked: datetime) -> datetime:
        """See `pipelines.ingest.drops.Drops.fresh_at`; of messages by their timestamps, in the order of a partition."""
        waiting = [self._latest_ms[number] for number in self._cut & self._latest_ms.keys()]
        if rest:
            waiting.append(self._oldest_ms)
        # A producer may say any time, also one that no calendar has.
        return min([looked, *(datetime.fromtimestamp(min(one / 1000, looked.timestamp()), UTC) for one in waiting)])

    def taken(self, source: Source) -> None:
        """Record that a manifest is committed; with the last one of a batch, its offsets are."""
        self._waiting.remove(source)
        if not self._waiting:
            self._advance()
            system, path = locate(self._folder)
            system.delete_dir(path)

    def _advance(self) -> None:
        self._next |= self._reached
        self._offsets.write(self._next)

    def _ranges(self) -> dict[int, tuple[int, int]]:
        """Partition -> offsets of the next batch, the second exclusive."""
        own = {"bootstrap.servers": ",".join(self._servers), "group.id": "duet-ingest", "enable.auto.commit": False}
        consumer = confluent_kafka.Consumer({**self._config, **own})
        try:
            found = consumer.list_topics(self._topic, timeout=_BROKER_S).topics[self._topic]
            if found.error is not None or not found.partitions:
                raise ManifestError(f"{','.join(self._servers)} has no topic {self._topic!r}")
            ranges: dict[int, tuple[int, int]] = {}
            self._cut = set()
            for number in found.partitions:
                place = confluent_kafka.TopicPartition(self._topic, number)
                low, high = consumer.get_watermark_offsets(place, timeout=_BROKER_S)
                start = max(low, self._next.get(number, low))
                if start > high:
                    _log.warning("%s/%d has been made anew: it is read from its beginning", self._topic, number)
                    start = low
                if high > start + _MESSAGES:
                    start = self._first(consumer, number, start)
                ranges[number] = start, min(high, start + _MESSAGES)
                if ranges[number][1] < high:
                    self._cut.add(number)
            return ranges
        except confluent_kafka.KafkaException as error:
            raise ManifestError(f"Kafka at {','.join(self._servers)}: {error.args[0].str()}") from error
        finally:
            consumer.close()

    def _first(self, consumer: confluent_kafka.Consumer, number: int, start: int) -> int:
        """The offset of a partition's first message from `start` on.

        Where a topic was compacted, or a transaction aborted, more offsets than a batch has may be without one, and
        nobody would get past them.
        """
        consumer.assign([confluent_kafka.TopicPartition(self._topic, number, start)])
        message = consumer.poll(_BROKER_S)
        consumer.unassign()
        found = None if message is None or message.error() is not None else message.offset()
        return start if found is None else found

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
        fields = Fields.of(self._index, self._attributes)
        last: dict[str, str | None] = {}  # by item, its line of a manifest; None = it goes
        self._reached, self._latest_ms = {}, {}
        times = []
        for message in messages:
            item_id, line = self._line(message, fields, last)
            last.pop(item_id, None)  # so that the order is that of the last messages
            last[item_id] = line
            number = message["partition"]
            self._reached[number] = max(self._reached.get(number, 0), message["offset"] + 1)
            times.append(message["timestamp"])
            self._latest_ms[number] = times[-1]
        self._oldest_ms = min(times, default=0)
        written = []
        for name, lines in (
            ("changes.jsonl", [line for line in last.values() if line is not None]),
            (
                f"changes{DELETES}.jsonl",
                [json.dumps({"item_id": item_id}) for item_id in last if last[item_id] is None],
            ),
        ):
            if lines:
                written.append(self._manifest(name, "\n".join(lines).encode(), max(times) * 10**6))
        return written

    def _manifest(self, name: str, content: bytes, modified: int) -> Source:
        address = f"{self._folder}/{name}"
        system, path = locate(address)
        if not address.startswith("s3://"):
            system.create_dir(path.rpartition("/")[0])
        with system.open_output_stream(path) as file:
            file.write(content)
        return Source(address, "jsonl", len(content), modified)

    def _line(
        self, message: Mapping[str, Any], fields: Fields, last: Mapping[str, str | None]
    ) -> tuple[str, str | None]:
        """An item's id and its line of a manifest; None = it goes. What is no row gets the line of a dead letter."""
        key, value, item_id = message["key"], message["value"], None
        try:
            item_id = None if key is None else key_id(key)
            if item_id is not None and value is None:
                return item_id, None
            row = value_row(value)
            item_id = row_id(row) if item_id is None else item_id
            return item_id, fields.line(item_id, row)
        except ManifestError as error:
            place = f"{self._topic}/{message['partition']}/{message['offset']}"
            _log.warning("message %s is refused: %s", place, error)
            item_id = item_id or place
            if last.get(item_id, fields.refused(item_id)) != fields.refused(item_id):
                item_id = place  # what the batch says of the item otherwise is not lost with it
            return item_id, fields.refused(item_id)
