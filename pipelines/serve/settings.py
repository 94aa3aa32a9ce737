"""Settings of ``duet serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from cluster.settings import Section, Settings
from pipelines.index.gate import GateSettings
from pipelines.index.publish import PublishSettings
from pipelines.index.retention import RetentionSettings
from pipelines.index.upkeep import UpkeepSettings


class TlsSettings(Section):
    """Encrypted connections. The files are PEM, and read again when they change."""

    certificate: Path | None = None
    """The server's certificate and, after it, those that signed it."""
    key: Path | None = None
    """Its private key, without a password, which not everybody may read."""
    client_ca: Path | None = None
    """Certificates of authorities; only clients with a certificate that one of them signed can connect."""


class ServeSettings(Settings):
    """Answer searches over gRPC from an index that `duet ingest` publishes; to other machines only with TLS."""

    index: str
    """Folder (or s3:// prefix) of the index."""
    checkpoint: str = ""
    """Where the checkpoint lies now, if not where it lay at ingestion; it must be the one of the snapshot."""
    roots: list[str] = []
    """Folders or s3:// addresses below which pictures lie that requests name by their location; none: no request may
    name one."""
    host: str = Field("127.0.0.1", min_length=1)
    """Address to listen at; one that other machines can reach needs --tls, and --tokens or --tls.client-ca."""
    port: int = Field(50051, ge=0, le=65535)
    """TCP port; 0 = any free one, which is printed."""
    device: str = "cpu"
    """Where pictures are encoded: cpu, cuda, cuda:1, …"""
    threads: int = Field(16, ge=1, le=256)
    """Requests at once; each brings at most one picture, so fewer threads than --batch never fill a batch."""
    waiting: int = Field(64, ge=0)
    """Requests that may wait for a thread, and changes that may wait for each other; more are refused with
    RESOURCE_EXHAUSTED."""
    cache_bytes: int = Field(2 * 1024**3, ge=0)
    """Memory for embeddings; tables that do not fit are read from the index at each search."""
    query_cache_bytes: int = Field(64 * 1024**2, ge=0)
    """Memory for what was encoded of pictures in requests: the same picture is not encoded again. 0 = it is."""
    batch: int = Field(16, ge=1)
    """Pictures of concurrent requests that are encoded together, at most."""
    poll_seconds: float = Field(2.0, gt=0)
    """How often to look for a new snapshot."""
    drain_seconds: float = Field(20.0, ge=0)
    """On SIGTERM, how long running requests may take to finish."""
    tls: TlsSettings = TlsSettings()
    """Encrypted connections."""
    tokens: Path | None = None
    """File of the tokens that calls must bring, by `duet token`; read again when it changes."""
    audit: Path | None = None
    """File for a line about every call that may change something; without, the lines are in the log."""
    metrics_port: int | None = Field(None, ge=0, le=65535)
    """TCP port of metrics for Prometheus, at /metrics; 0 = any free one, which is printed. Unset: no metrics."""
    metrics_host: str = "127.0.0.1"
    """Address that metrics are shown at; whoever reaches it can read them."""
    recall_sample: float = Field(0.001, ge=0, le=1)
    """With metrics, share of the approximate searches that are asked again, exactly, to measure recall."""
    traces: str = Field("", pattern="^(https?://.+)?$")
    """Where OpenTelemetry spans are sent by OTLP over HTTP: http://127.0.0.1:4318/v1/traces. Empty = no traces."""
    traces_sample: float = Field(1.0, ge=0, le=1)
    """Share of the traces that is kept, of those that do not begin with the caller; it decides on its own."""
    upkeep: UpkeepSettings = UpkeepSettings()
    """When tables are compacted and indices built and extended, as changes are published here."""
    gate: GateSettings = GateSettings()
    """What refuses a publication; items that a request deletes are none that are lost."""
    retention: RetentionSettings = RetentionSettings()
    """Which snapshots stay readable when one is published here; give ingestions and servers the same."""
    ray: bool = False
    """Answer from replicas on Ray Serve, behind this process: on the cluster at RAY_ADDRESS, else on a local Ray."""
    replicas: int = Field(1, ge=1)
    """With --ray, replicas; with --max-replicas, the fewest."""
    max_replicas: int | None = Field(None, ge=1)
    """With --ray, the most replicas: there are as many as the requests under way need. Unset: always --replicas."""
    replica_cpus: float = Field(1.0, ge=0)
    """With --ray, logical CPUs that Ray sets aside for each replica; with --device cuda it is given a GPU, too."""
    log_format: Literal["text", "json"] = "text"
    """What the log, on stderr, is written as."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged; answered requests are logged at debug."""
    log_sample: float = Field(0.0, ge=0, le=1)
    """Share of the answered requests that is logged at info."""
    log_details: bool = False
    """Log whole texts of errors and not only what cannot quote a request's ids and values."""

    @model_validator(mode="after")
    def _of_ray(self) -> Self:
        if not self.ray and self.model_fields_set & {"replicas", "max_replicas", "replica_cpus"}:
            raise ValueError("--replicas, --max-replicas and --replica-cpus need --ray")
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError("--max-replicas must not be less than --replicas")
        return self

    @property
    def publishing(self) -> PublishSettings:
        """What happens when a snapshot is published."""
        return PublishSettings(upkeep=self.upkeep, gate=self.gate, retention=self.retention)
