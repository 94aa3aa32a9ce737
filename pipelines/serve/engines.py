"""The engines of an index: of the published snapshot, which is followed, and of earlier ones that are still asked."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass

from cluster.memory import give_back
from model.checkpoint import Checkpoint, load_checkpoint
from pipelines.errors import CheckpointError, RequestError, StoreError
from pipelines.index.page_key import page_key
from pipelines.index.reader_lease import ReaderLease
from pipelines.index.snapshot import Snapshot
from pipelines.index.store import Index
from pipelines.search.engine import Engine
from pipelines.search.limits import Limits
from pipelines.search.matrices import MatrixCache
from pipelines.search.paging import PageToken, PageTokens
from pipelines.search.query import EncoderPort
from pipelines.search.request import SearchRequest

from .batching import BatchingEncoder
from .duet_cache import CachingEncoder, DuetCache
from .errors import NotReadyError
from .observed_engine import ObservedEngine
from .observing import Observer
from .settings import ServeSettings

log = logging.getLogger("duet.serve")

_KEPT = 3  # engines: the published snapshot's and two that were published before, or asked for


@dataclass(frozen=True)
class _Model:
    checkpoint: Checkpoint
    encoder: BatchingEncoder


class Engines:
    """Thread-safe. A request gets one engine, so its query and its hits are of one snapshot, whatever is published.

    Args:
        index: that is followed.
        settings: where and how the encoder runs, how much memory embeddings may take.
        limits: what one request may hold.
        observer: is told of searches, batches and snapshots.

    Attributes:
        cache: of embeddings, which all engines share.
        duets: of pictures that requests brought, which all engines share.
    """

    def __init__(self, index: Index, settings: ServeSettings, limits: Limits, observer: Observer | None = None) -> None:
        self.index, self.limits = index, limits
        self._settings, self._observer = settings, observer or Observer()
        self.cache = MatrixCache(settings.cache_bytes)
        self.duets = DuetCache(settings.query_cache_bytes)
        self.tokens = PageTokens(page_key(index.uri))
        self._lock = threading.Lock()  # guards what follows, briefly
        self._refreshing = threading.Lock()  # or the slower of two would bring the older snapshot back
        self._opening = threading.Lock()  # one snapshot is opened at a time
        self._published: Engine | None = None
        self._snapshot: Snapshot | None = None  # that of `_published`
        self._next: Snapshot | None = None  # to be published once it is warm
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._models: dict[str, _Model] = {}
        self._closed = False  # guarded by `_opening`
        self._lease = ReaderLease(index.uri)  # what is open here is not cleaned away
        self._lease.start()

    def refresh(self) -> bool:
        """Switch to the snapshot that is published now; whether there was a new one.

        Raises:
            DuetError: it, or its checkpoint, cannot be opened; the engine that there was stays.
        """
        with self._refreshing:
            return self._refresh()

    def _refresh(self) -> bool:
        snapshot = self.index.latest()
        if snapshot is None or (
            self._published is not None and self._published.scope.snapshot_id == snapshot.snapshot_id
        ):
            return False
        with self._lock:
            self._next = snapshot
        engine = self._open(snapshot)
        engine.warm(self._published)
        with self._lock:
            self._published, self._snapshot = engine, snapshot
        self._observer.snapshot_switched()
        give_back()  # what the change, and the snapshots before, took
        return True

    @property
    def ready(self) -> bool:
        """Whether there is an engine to answer with."""
        return self._published is not None

    @property
    def published(self) -> Snapshot | None:
        """The snapshot that is served; None while there is none."""
        return self._snapshot

    def of(self, snapshot_id: str = "") -> Engine:
        """The engine of a snapshot; of the published one by default.

        Raises:
            NotReadyError: nothing is loaded yet.
            RequestError: there is no such snapshot, or not any more.
        """
        with self._lock:
            published = self._published
            if published is None:
                raise NotReadyError
            if snapshot_id in ("", published.scope.snapshot_id):
                return published
            if snapshot_id in self._engines:
                self._engines.move_to_end(snapshot_id)
                return self._engines[snapshot_id]
        snapshot = next((one for one in self.index.snapshots() if one.snapshot_id == snapshot_id), None)
        if snapshot is None:
            raise RequestError("SNAPSHOT_NOT_FOUND", f"there is no snapshot {snapshot_id!r}", "snapshot")
        try:
            return self._open(snapshot)
        except (StoreError, CheckpointError) as error:
            log.warning("snapshot %s cannot be read any more: %s", snapshot_id, error)
            with self._opening:
                self._let_go()
            message = f"snapshot {snapshot_id} cannot be read any more"
            raise RequestError("SNAPSHOT_EXPIRED", message, "snapshot") from error

    def for_request(self, request: SearchRequest) -> Engine:
        """The engine that answers a request: a further page is of the first page's snapshot."""
        if not request.page_token:
            return self.of(request.snapshot)
        return self.of_page(self.tokens.read(request.page_token))

    def of_page(self, token: PageToken) -> Engine:
        """The engine that a page goes on with. Raises `RequestError` (``SNAPSHOT_EXPIRED``)."""
        try:
            return self.of(token.snapshot_id)
        except RequestError as error:
            raise RequestError("SNAPSHOT_EXPIRED", f"{error}; ask for the first page again", "page_token") from error

    def close(self) -> None:
        """End the encoders' threads, once what is being opened is open; nothing is opened any more."""
        with self._opening:
            self._closed = True
            for model in self._models.values():
                model.encoder.close()
            self._lease.close()

    def _open(self, snapshot: Snapshot) -> Engine:
        with self._opening:
            if self._closed:
                raise NotReadyError
            with self._lock:
                if snapshot.snapshot_id in self._engines:
                    return self._engines[snapshot.snapshot_id]
            model = self._model(snapshot)
            self._hold(snapshot)
            engine = ObservedEngine(
                self.index.reader(snapshot),
                model.checkpoint,
                limits=self.limits,
                tokens=self.tokens,
                cache=self.cache,
                encoder=self._caching(model),
                observer=self._observer,
            )
            with self._lock:
                self._engines[snapshot.snapshot_id] = engine
                needed = {one.snapshot_id for one in (self._snapshot, self._next) if one is not None}
                while len(self._engines) > _KEPT:
                    del self._engines[next(name for name in self._engines if name not in needed)]
            self._let_go()
            self.cache.keep(self._engines)
            return engine

    def _let_go(self) -> None:
        """Of models that no engine uses, and snapshots that none is open of."""
        with self._lock:
            used = {kept.checkpoint.digest for kept in self._engines.values()}
        for digest in self._models.keys() - used:
            self._models.pop(digest).encoder.close()
        self._lease.hold(self._engines)

    def _caching(self, model: _Model) -> EncoderPort:
        if not self.duets.limit_bytes:
            return model.encoder
        return CachingEncoder(model.encoder, self.duets, model.checkpoint.digest, self._observer)

    def _hold(self, snapshot: Snapshot) -> None:
        """Lease a snapshot beside those that are open. Raises `StoreError` if it was retired before that."""
        self._lease.hold({*self._engines, snapshot.snapshot_id})
        try:
            self.index.snapshot(snapshot.snapshot_id)
        except StoreError:
            self._lease.hold(self._engines)
            raise

    def _model(self, snapshot: Snapshot) -> _Model:
        if snapshot.model_digest not in self._models:
            checkpoint = checkpoint_of(snapshot, self._settings)
            encoder = BatchingEncoder(checkpoint, self.limits, batch=self._settings.batch, observer=self._observer)
            self._models[snapshot.model_digest] = _Model(checkpoint, encoder)
        return self._models[snapshot.model_digest]


def checkpoint_of(snapshot: Snapshot, settings: ServeSettings) -> Checkpoint:
    """The checkpoint that a snapshot was embedded with. Raises `CheckpointError`, or `StoreError` if it is another."""
    place = settings.checkpoint or snapshot.checkpoint_uri
    checkpoint = load_checkpoint(place, settings.device)
    if checkpoint.digest != snapshot.model_digest:
        raise StoreError(
            f"snapshot {snapshot.snapshot_id} was embedded with checkpoint {snapshot.model_digest[:12]}…; "
            f"{place} holds {checkpoint.digest[:12]}…"
        )
    return checkpoint
