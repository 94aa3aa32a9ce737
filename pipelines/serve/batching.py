"""Pictures of concurrent requests through the encoder together, in one thread of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import Checkpoint
from pipelines.data.images import prepare
from pipelines.search.limits import Limits
from pipelines.search.query import QueryDuet, encode_images, image_limits

from .observing import Observer


@dataclass(frozen=True)
class _Job:
    image: NDArray[np.uint8]
    classes: Sequence[int]
    answer: Future[QueryDuet] = field(default_factory=Future)


class BatchingEncoder:
    """An `EncoderPort` for many threads. Each decodes its own picture; the encoder takes what waits, together.

    The first picture of a batch waits for others as long as the window, unless the batch is full before.

    Args:
        checkpoint: whose encoder is asked.
        limits: caps on a picture.
        batch: at most that many pictures at once.
        window: seconds that the first picture of a batch waits for more.
        observer: is told of each batch.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        limits: Limits,
        *,
        batch: int = 16,
        window: float = 0.002,
        observer: Observer | None = None,
    ) -> None:
        self._checkpoint, self._limits = checkpoint, image_limits(limits)
        self._batch, self._window, self._observer = batch, window, observer or Observer()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed, self._lock = False, threading.Lock()
        self._thread = threading.Thread(target=self._work, name="encoder", daemon=True)
        self._thread.start()

    def encode(self, image: bytes, classes: Sequence[int]) -> QueryDuet:
        """See `EncoderPort.encode`."""
        job = _Job(prepare(image, self._checkpoint.preparation, self._limits), classes)
        with self._lock:
            closed = self._closed
            if not closed:
                self._jobs.put(job)
        if closed:  # a request that began before the snapshot was given up
            return encode_images(self._checkpoint, [job.image], [job.classes])[0]
        return job.answer.result()

    def close(self) -> None:
        """Answer what waits, then end the thread. Pictures that still come are encoded by who brings them."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs, closing = self._gather(first)
            begin = time.perf_counter()
            try:
                duets = encode_images(self._checkpoint, [job.image for job in jobs], [job.classes for job in jobs])
            except Exception as error:  # noqa: BLE001  # boundary: each waiting thread gets it, and this one goes on
                for job in jobs:
                    job.answer.set_exception(error)
            else:
                self._observer.batch_encoded(len(jobs), time.perf_counter() - begin)
                for job, duet in zip(jobs, duets, strict=True):
                    job.answer.set_result(duet)
            if closing:
                return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        """The first job and those that come within the window; and whether the end came among them."""
        jobs, end = [first], time.monotonic() + self._window
        while len(jobs) < self._batch:
            try:
                job = self._jobs.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
        return jobs, False
