"""Settings of the ingestion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from cluster.runtime import RaySettings
from cluster.settings import Settings
from pipelines.errors import ManifestError
from pipelines.index.gate import GateSettings
from pipelines.index.publish import PublishSettings
from pipelines.index.retention import RetentionSettings
from pipelines.index.upkeep import UpkeepSettings


class IngestSettings(Settings):
    """Stream a catalogue through an encoder into an index, and publish it.

    What the index already holds unchanged is skipped, so the same command finishes a run that was killed. A
    picture that was refused is tried again when it is another one, after --delete, or with --retry-dead-letters. One
    row per item: of several with the same item_id the last one counts.
    """

    manifest: list[str] = []
    """Files (.parquet, .csv, .jsonl), patterns, folders or s3:// addresses; may be given several times."""
    watch: str | None = None
    """Instead of a manifest: a folder or s3:// prefix into which manifests are dropped. Each is taken in once, in the
    order of their names, and published; items of one that is called *.delete.parquet (.csv, .jsonl) are deleted. Write
    a file under a name that begins with a dot and rename it when it is whole. Or kafka://HOST:PORT,…/TOPIC: the key is
    an item's id, the value its row as JSON, without a value it is deleted."""
    kafka_config: Path | None = None
    """JSON file of librdkafka's settings for the topic's consumer: security.protocol, sasl.mechanism, …"""
    poll_seconds: float = Field(5.0, gt=0)
    """Time between two looks at the watched folder."""
    idle_seconds: float | None = Field(None, ge=0)
    """The watch ends when nothing has come for so long; unset: never."""
    index: str
    """Folder (which every Ray node sees under this path) or s3:// address of the index; made if it is not there."""
    checkpoint: str | None = None
    """Folder of the encoder's checkpoint; every Ray node must see it under the same path. Unset: those that the index
    was made with."""
    generation: Literal["live", "new"] = "live"
    """live: bring every generation of the index up to the manifest. new: embed the manifest with another encoder,
    beside what is served; `duet snapshots publish` switches to it."""
    roots: list[str] = []
    """Folders or s3:// addresses below which the manifest's pictures (image_uri) lie."""
    attributes: list[str] | None = None
    """Columns that are labels; unset: all that hold lists of text, and those that are called like the encoder's."""
    delete: bool = False
    """Delete the manifest's items from every generation; needs no checkpoint and no pictures."""
    retry_dead_letters: bool = False
    """Try again what was refused before, though it has not changed."""
    max_failures: float = Field(0.1, ge=0, le=1)
    """Share of the items whose pictures are read which may be refused; beyond it the run stops and publishes nothing
    more. It does not count before 20 are refused."""
    dry_run: bool = False
    """Write nothing and say what would happen."""
    thumbnail_size: int = Field(128, ge=0, le=1024)
    """Longest side in pixels of the thumbnails for result pages; 0 = none."""
    chunk: int = Field(256, ge=1, le=16384)
    """Items that a worker embeds and writes at once; what a killed worker loses."""
    batch: int = Field(32, ge=1, le=4096)
    """Images per pass of the encoder."""
    inline_rows: int = Field(512, ge=0)
    """A manifest of at most so many rows is embedded in this process; workers would take longer to start. With a GPU
    workers are used always."""
    actors: int = Field(1, ge=1)
    """Processes that encode."""
    threads: int = Field(0, ge=0)
    """Threads of each of them, for the encoder and as many for decoding; 0 = the machine's cores divided among all
    actors, 1 at least: set it where they run on several machines."""
    gpus: float = Field(0, ge=0, le=1)
    """GPUs that each actor asks for; 0 = encode on the CPU."""
    separate_decode: bool | None = None
    """Whether pictures are decoded in tasks of their own; unset: with a GPU."""
    commit_vectors: int = Field(10_000, ge=1)
    """Embeddings that are committed together."""
    commit_seconds: float = Field(30.0, ge=0)
    """What is embedded is committed after this time, however little it is."""
    publish_commits: int = Field(20, ge=1)
    """Commits between two snapshots; the end publishes one always."""
    upkeep: UpkeepSettings = UpkeepSettings()
    """When tables are compacted and indices built and extended."""
    gate: GateSettings = GateSettings()
    """What refuses a publication."""
    retention: RetentionSettings = RetentionSettings()
    """Which snapshots stay readable."""
    ray: RaySettings = RaySettings()
    """Which Ray to run on."""

    @model_validator(mode="after")
    def _manifest_or_watch(self) -> IngestSettings:
        if bool(self.manifest) == (self.watch is not None):
            raise ValueError("give either --manifest, the items to index, or --watch, the folder into which they come")
        if self.watch is not None and (self.delete or self.dry_run or self.generation == "new"):
            raise ValueError("--watch takes in what comes; it goes with none of --delete, --dry-run, --generation new")
        return self

    @model_validator(mode="after")
    def _new_needs_checkpoint(self) -> IngestSettings:
        if self.generation == "new" and (self.checkpoint is None or self.delete):
            raise ValueError("--generation new embeds with another encoder: it needs --checkpoint, and deletes nothing")
        return self

    @model_validator(mode="after")
    def _config_of_a_topic(self) -> IngestSettings:
        if self.kafka_config is not None and not (self.watch or "").startswith("kafka://"):
            raise ValueError("--kafka-config goes with --watch kafka://HOST:PORT/TOPIC")
        return self

    def kafka_settings(self) -> dict[str, Any]:
        """What `kafka_config` holds. Raises `ManifestError` if it is not there, or no JSON object."""
        if self.kafka_config is None:
            return {}
        try:
            values = json.loads(self.kafka_config.read_text(encoding="utf-8"))
            if not isinstance(values, dict):
                raise ValueError("not a JSON object")
            return values
        except (OSError, ValueError) as error:
            raise ManifestError(f"{self.kafka_config}: no settings of Kafka ({error})") from error

    @property
    def publishing(self) -> PublishSettings:
        """What happens when a snapshot is published."""
        return PublishSettings(upkeep=self.upkeep, gate=self.gate, retention=self.retention)

    @property
    def decodes_separately(self) -> bool:
        """Whether decoding is a stage of its own: it pays if the encoder leaves the CPU idle."""
        return self.gpus > 0 if self.separate_decode is None else self.separate_decode
