"""Pictures that come again are not encoded again: page 2 brings page 1's picture, an explanation its search's."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from pipelines.search.query import EncoderPort, QueryDuet, check_duet

from .observing import Observer

Key = tuple[str, bytes, tuple[int, ...]]  # digests of model and picture, and the classes that were asked for


class DuetCache:
    """Least-recently-used duets within a budget; safe for threads. It holds no picture, and nothing that failed.

    Args:
        limit_bytes: of all duets together; one that alone has more is never kept.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, QueryDuet] = OrderedDict()
        self._coming: dict[Key, Future[QueryDuet]] = {}
        self._bytes = 0

    @property
    def used_bytes(self) -> int:
        """Of all duets that are kept."""
        return self._bytes

    def get(self, key: Key, encode: Callable[[], QueryDuet]) -> tuple[QueryDuet, bool]:
        """The duet of that key, encoded once for all threads that ask meanwhile; and whether this thread did not."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept, True
            coming = self._coming.get(key)
            if coming is None:
                own = self._coming[key] = Future()
        if coming is not None:
            return coming.result(), True
        try:
            duet = _alone(encode())
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            own.set_exception(error)
            raise
        with self._lock:
            del self._coming[key]
            self._keep(key, duet)
        own.set_result(duet)
        return duet, False

    def _keep(self, key: Key, duet: QueryDuet) -> None:
        size = _size(duet)
        if size > self.limit_bytes:
            return
        while self._bytes + size > self.limit_bytes:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        self._kept[key] = duet
        self._bytes += size


class CachingEncoder:
    """An `EncoderPort` that asks another one only for what the cache has not.

    What it answers is what that one answered, to the bit. The last bits of a class embedding depend on the classes that
    it was computed with, so the same picture with other classes is another key, and is encoded again.

    Args:
        encoder: is asked, from the threads that ask this one.
        cache: may be shared by encoders.
        model: digest of the encoder's checkpoint.
        observer: is told of each picture.
    """

    def __init__(self, encoder: EncoderPort, cache: DuetCache, model: str, observer: Observer | None = None) -> None:
        self._encoder, self._cache, self._model, self._observer = encoder, cache, model, observer or Observer()

    def encode(self, image: bytes, classes: Sequence[int]) -> QueryDuet:
        """See `EncoderPort.encode`. Raises `ModelError` for a duet that is not finite or zero, which is not kept."""
        key = self._model, hashlib.sha256(image).digest(), tuple(sorted(set(classes)))
        duet, known = self._cache.get(key, lambda: self._encode(image, classes))
        self._observer.picture_encoded(known)
        return duet

    def _encode(self, image: bytes, classes: Sequence[int]) -> QueryDuet:
        duet = self._encoder.encode(image, classes)
        check_duet(duet)
        return duet


def _alone(duet: QueryDuet) -> QueryDuet:
    """The same, in memory of its own: it comes as a part of its batch, all of which would be kept with it."""
    return QueryDuet(
        duet.attribute_embeddings.copy(),
        duet.carried.copy(),
        duet.probabilities.copy(),
        {index: vector.copy() for index, vector in duet.class_embeddings.items()},
    )


def _size(duet: QueryDuet) -> int:
    vectors = (duet.attribute_embeddings, duet.carried, duet.probabilities, *duet.class_embeddings.values())
    return sum(vector.nbytes for vector in vectors)
