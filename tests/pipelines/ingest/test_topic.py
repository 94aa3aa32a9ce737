"""Changes from Kafka: against the broker that librdkafka has for tests, a real one on the wire, of one process."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import confluent_kafka
import pytest

from pipelines.errors import ManifestError
from pipelines.index.naming import DEAD_LETTERS, ITEMS
from pipelines.index.schema import LIVE
from pipelines.index.store import Index
from pipelines.ingest import topic as topic_module
from pipelines.ingest.__main__ import main
from pipelines.ingest.settings import IngestSettings
from pipelines.ingest.topic import Topic
from pipelines.ingest.watch import watch

from .support import TAXONOMY, Entry, Oracle, catalogue

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]


class Broker:
    """A broker, and a producer that sends to it."""

    def __init__(self) -> None:
        self.producer = confluent_kafka.Producer(
            {"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0}
        )
        (one,) = self.producer.list_topics(timeout=10).brokers.values()
        self.address = f"{one.host}:{one.port}"

    def send(self, topic: str, messages: list[tuple[str | bytes | None, bytes | None]], partition: int = -1) -> None:
        """The broker makes a topic of four partitions when it first hears of it; −1 = by the key's hash."""
        for key, value in messages:
            self.producer.produce(topic, value, key, partition)
        assert self.producer.flush(10) == 0


def new_topic() -> str:
    return f"changes-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def broker() -> Broker:
    return Broker()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    return folder


def message(item_id: str, entry: Entry, pictures: Path) -> tuple[str, bytes]:
    (pictures / f"{entry.look}.jpg").write_bytes(entry.image)
    row = {"image_uri": f"{entry.look}.jpg", TAXONOMY.names[1]: list(entry.labels), "price": entry.price}
    return item_id, json.dumps(row).encode()


def settings_of(tmp_path: Path, broker: Broker, topic: str, checkpoint: Path, **more: object) -> IngestSettings:
    values = {"poll_seconds": 0.05, "idle_seconds": 0.2, "threads": 1, **more}
    return IngestSettings(
        watch=f"kafka://{broker.address}/{topic}",
        index=str(tmp_path / "index"),
        checkpoint=str(checkpoint),
        roots=[str(tmp_path / "pictures")],
        attributes=[TAXONOMY.names[1]],
        **values,  # type: ignore[arg-type]
    )


def test_changes_are_taken_in_and_once(
    tmp_path: Path, pictures: Path, broker: Broker, checkpoint: Path, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_module, "_MESSAGES", 2)  # several batches
    topic, entries = new_topic(), catalogue(20)
    broker.send(topic, [message(item_id, entry, pictures) for item_id, entry in entries.items()])
    settings, said = settings_of(tmp_path, broker, topic, checkpoint), list[str]()
    watch(settings, said.append)
    index = Index.open(settings.index)
    oracle.check(index, entries)
    assert len(said) > 2 and said[1].startswith(f"{topic} up to ") and "s after it was written" in said[1]
    # One item changes three times, one goes, one goes and comes back; nothing of before is read again.
    wanted = {**entries, "item '1'": Entry(72, ("dots",), 1), "item '3'": Entry(73, (), 2)}
    del wanted["item '2'"]
    sent = [message("item '1'", Entry(look, ("dots",), 1), pictures) for look in (70, 71, 72)]
    sent += [("item '2'", None), ("item '3'", None), message("item '3'", wanted["item '3'"], pictures)]
    broker.send(topic, sent)
    said.clear()
    watch(settings, said.append)
    oracle.check(index, wanted)
    assert all("unchanged" not in line for line in said), said
    published = len(index.snapshots())
    watch(settings, said.append)
    assert len(index.snapshots()) == published


def test_a_batch_that_was_not_published_is_read_again(
    tmp_path: Path, pictures: Path, broker: Broker, checkpoint: Path
) -> None:
    topic, index = new_topic(), Index.create(tmp_path / "index")
    broker.send(topic, [message(item_id, entry, pictures) for item_id, entry in catalogue(3).items()], 0)
    broker.send(topic, [("gone", None)], 0)
    address = f"kafka://{broker.address}/{topic}"

    def batch(taken: int) -> list[list[str]]:
        changes = Topic(index, address, {})
        found = changes.waiting()
        rows = [[json.loads(line)["item_id"] for line in Path(s.path).read_text().splitlines()] for s in found]
        for source in found[:taken]:
            changes.taken(source)
        return rows

    everything = [[f"item '{number}'" for number in range(3)], ["gone"]]
    for taken in (0, 1, 2):
        assert batch(taken) == everything
    assert batch(2) == []
    assert len(list((tmp_path / "index" / "topics" / topic).iterdir())) == 2, "of those that were taken in, none"


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    tmp_path: Path, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    topic, index = new_topic(), Index.create(tmp_path / "index")
    broker.send(topic, [("a", None)], 0)
    changes = Topic(index, f"kafka://{broker.address}/{topic}", {})
    changes._next = {0: 7}  # of the topic that had this name before
    (source,) = changes.waiting()
    assert json.loads(Path(source.path).read_text()) == {"item_id": "a"}
    assert f"{topic}/0 has been made anew" in caplog.text


def test_two_topics_keep_their_offsets(tmp_path: Path, broker: Broker) -> None:
    index, topics = Index.create(tmp_path / "index"), [new_topic(), new_topic()]
    opened = [Topic(index, f"kafka://{broker.address}/{topic}", {}) for topic in topics]
    for topic, changes in zip(topics, opened, strict=True):
        broker.send(topic, [("a", None)], 0)
        for source in changes.waiting():
            changes.taken(source)
    again = [Topic(index, f"kafka://{broker.address}/{topic}", {}) for topic in topics]
    assert [changes.waiting() for changes in again] == [[], []]


def test_what_is_no_row_is_a_dead_letter(
    tmp_path: Path, pictures: Path, broker: Broker, checkpoint: Path, oracle: Oracle
) -> None:
    topic, entries = new_topic(), catalogue(2)
    broker.send(topic, [("x", b"{ no JSON"), ("y", b"[1]"), (None, None), (b"\xe9", b"{}")], 0)
    key, row = message("item '0'", entries["item '0'"], pictures)
    broker.send(topic, [(None, json.dumps({**json.loads(row), "item_id": key}).encode())], 0)
    broker.send(topic, [message("item '1'", entries["item '1'"], pictures)], 0)
    settings = settings_of(tmp_path, broker, topic, checkpoint)
    watch(settings, lambda line: None)
    index = Index.open(settings.index)
    oracle.check(index, entries)
    (generation,) = index.generations()
    letters = index.dataset(DEAD_LETTERS, generation.name).to_table(filter=LIVE)
    assert sorted(letters["item_id"].to_pylist()) == [f"{topic}/0/2", f"{topic}/0/3", "x", "y"]


def test_a_message_that_does_not_fit_stops_nothing(
    tmp_path: Path,
    pictures: Path,
    broker: Broker,
    checkpoint: Path,
    oracle: Oracle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    topic, entries = new_topic(), catalogue(3)
    first, *others = entries.items()
    settings = settings_of(tmp_path, broker, topic, checkpoint)
    broker.send(topic, [message(*first, pictures)], 0)
    watch(settings, lambda line: None)  # the index has a price, of whole numbers
    bad: dict[str, dict[str, object]] = {
        "fraction": {"image_uri": "0.jpg", "price": 19.99},
        "nested": {"image_uri": "0.jpg", "price": {"amount": 5}},
        "number": {"image_uri": 5},
        "labels": {"image_uri": "0.jpg", TAXONOMY.names[1]: 5},
        "empty": {},
    }
    broker.send(topic, [(name, json.dumps(row).encode()) for name, row in bad.items()], 0)
    broker.send(topic, [("x" * 513, b"{}")], 0)
    monkeypatch.setattr(topic_module, "_MESSAGES", 1)  # each is a batch of its own
    watch(settings, lambda line: None)
    monkeypatch.setattr(topic_module, "_MESSAGES", 100)
    again = [(f"{name} too", json.dumps(row).encode()) for name, row in bad.items()]
    broker.send(topic, [*again, *(message(*one, pictures) for one in others)], 0)  # and beside what is right
    watch(settings, lambda line: None)
    index = Index.open(settings.index)
    oracle.check(index, entries)
    (generation,) = index.generations()
    letters = index.dataset(DEAD_LETTERS, generation.name).to_table(filter=LIVE)["item_id"].to_pylist()
    assert sorted(letters) == sorted([*bad, *(f"{name} too" for name in bad), f"{topic}/0/6"])
    assert f"message {topic}/0/1 is refused: field 'price'" in caplog.text


def test_a_refused_message_takes_nothing_else_of_its_item_with_it(
    tmp_path: Path, pictures: Path, broker: Broker, checkpoint: Path, oracle: Oracle
) -> None:
    topic, entries = new_topic(), catalogue(4)
    kept, gone, mended, worse = entries
    settings = settings_of(tmp_path, broker, topic, checkpoint)
    broker.send(topic, [message(gone, entries[gone], pictures), message(worse, entries[worse], pictures)], 0)
    watch(settings, lambda line: None)
    bad = json.dumps({"price": 19.99}).encode()
    sent = [message(kept, entries[kept], pictures), (kept, bad)]  # offsets 2 and 3
    sent += [(gone, None), (gone, bad)]  # 4 and 5
    sent += [(mended, bad), message(mended, entries[mended], pictures)]
    broker.send(topic, [*sent, (worse, bad), (worse, b"{")], 0)
    watch(settings, lambda line: None)
    index = Index.open(settings.index)
    (generation,) = index.generations()

    def letters() -> list[tuple[str, str, str]]:
        table = index.dataset(DEAD_LETTERS, generation.name).to_table(filter=LIVE)
        return sorted((row["item_id"], row["stage"], row["code"]) for row in table.to_pylist())

    items = index.dataset(ITEMS, generation.name).to_table(filter=LIVE)
    assert sorted(items["item_id"].to_pylist()) == [kept, mended, worse]  # what was indexed stays as it was
    places = [(f"{topic}/0/{offset}", "read", "EMPTY") for offset in (3, 5)]
    assert letters() == sorted([*places, (worse, "read", "EMPTY")])
    broker.send(topic, [message(worse, entries[worse], pictures)], 0)  # a good one again ends the complaint
    watch(settings, lambda line: None)
    assert letters() == sorted(places)
    del entries[gone]
    oracle.check(index, entries)


def test_snapshots_are_as_fresh_as_what_waits(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_module, "_MESSAGES", 2)
    topic, index = new_topic(), Index.create(tmp_path / "index")
    for number in range(5):
        value = None if number == 1 else b"{}"
        when = 1_719_878_400_000_000 if number == 3 else 1_000 * (number + 1)  # in microseconds: the year 56470
        broker.producer.produce(topic, value, f"item {number}", 0, timestamp=when)
    assert broker.producer.flush(10) == 0
    changes, looked, found = Topic(index, f"kafka://{broker.address}/{topic}", {}), datetime.now(UTC), []
    while batch := changes.waiting():
        for number, source in enumerate(batch):
            found.append(changes.fresh_at(batch[number + 1 :], looked).timestamp())
            changes.taken(source)
    # Changes of the first batch while its deletion waits; then all of it; the second; and the last message.
    assert found == [1, 2, looked.timestamp(), looked.timestamp()]


def test_what_cannot_be_read_is_told(
    tmp_path: Path, broker: Broker, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--index", str(tmp_path / "index"), "--checkpoint", str(checkpoint)]
    config = tmp_path / "config.json"
    config.write_text("[]")
    for arguments, told in (
        (["--watch", "kafka://nobroker"], "a topic is kafka://HOST:PORT,…/TOPIC"),
        (
            ["--watch", f"kafka://{broker.address}/x", "--kafka-config", str(config)],
            "config.json: no settings of Kafka",
        ),
        (["--watch", str(tmp_path), "--kafka-config", str(config)], "--kafka-config goes with --watch kafka://"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main([*arguments, *where])
        assert told in capsys.readouterr().err


def test_a_broker_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_module, "_BROKER_S", 0.5)
    changes = Topic(Index.create(tmp_path / "index"), "kafka://127.0.0.1:9/x", {"log_level": 0})
    with pytest.raises(ManifestError, match=r"Kafka at 127\.0\.0\.1:9: "):
        changes.waiting()
