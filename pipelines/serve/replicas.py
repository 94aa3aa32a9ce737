"""A server's replicas on Ray Serve: put up, asked, and taken down by the process that listens.

Ray Serve's own gRPC proxy would be one process less. docs/operating.md says why it is not used: it listens on every
address of its machine without TLS, asks nobody for a token, and tells replicas of no deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
import re
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import grpc
import ray
from prometheus_client.registry import Collector
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.config import AutoscalingConfig, ProxyLocation
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ApplicationStatus, LoggingConfig

from pipelines.errors import DuetError
from pipelines.index.store import Index
from pipelines.search.limits import Limits

from .calls import status_of
from .changes import Changes
from .engines import checkpoint_of
from .errors import NotReadyError, OverloadError, ReplicaLostError
from .forwarding import add_forwarding
from .observing import current_call
from .replica import Answer, Question, Replica
from .replica_metrics import Counted, ReplicaMetrics, of_the_listener
from .security.scopes import Scope, needed
from .settings import ServeSettings, TlsSettings

_TRIES = 3  # of a call that changes nothing, when the replica that works on it dies
_LOOK_SECONDS = 0.2
_SCRAPE_SECONDS = 2.0  # for each of the two applications; Prometheus waits for ten
_LOGGED = LoggingConfig(log_level="WARNING", enable_access_log=False)  # Ray Serve itself
_RAISED = re.compile(r"^[\w.]*\.\w+Error: (.+)$", re.MULTILINE)  # the last line of a traceback

log = logging.getLogger("duet.serve")


class Replicas:
    """A `Backend`: two applications on Ray Serve, replicas for all that changes nothing, and one that makes changes.

    Ray must be there; what is not ours on it is left alone. Applications are named after the index, so that a server
    which takes another's place takes over its replicas.

    Args:
        index: that is followed; every machine of the cluster must reach it, and its checkpoint.
        settings: how many replicas, and what each of them is given.
        limits: what one request may hold.
    """

    def __init__(self, index: Index, settings: ServeSettings, limits: Limits) -> None:
        self._index, self._settings, self._limits = index, settings, limits
        name = f"duet-{hashlib.sha256(index.uri.encode()).hexdigest()[:12]}"
        self._names = {Scope.READ: name, Scope.WRITE: f"{name}-changes"}
        self._handles: dict[Scope, DeploymentHandle[Any]] = {}
        self._ready = False
        self._change = ""  # the last one; replicas are told of it with each call
        self._deployed: dict[str, float] = {}  # when, by application
        self._deploying, self._closed = threading.Lock(), False
        self._under_way = 0  # calls that change nothing
        self._changes = Changes(1 + settings.waiting, limits.idle_seconds)

    @property
    def ready(self) -> bool:
        """See `Backend`."""
        return self._ready

    def add_to(self, server: grpc.aio.Server) -> None:
        """See `Backend`."""
        add_forwarding(server, self.ask, self._limits, self._changes, lambda: self._ready)

    async def follow(self, became_ready: Callable[[], Awaitable[None]]) -> None:
        """See `Backend`. The replicas follow the index; here it is seen to that they are there."""
        await asyncio.to_thread(self._deploy)
        while not await asyncio.to_thread(self._running):
            await asyncio.sleep(_LOOK_SECONDS)
        self._handles = {  # ready for use by any thread, which they are not otherwise before the first call
            scope: serve.get_app_handle(name).options() for scope, name in self._names.items()
        }
        for handle in self._handles.values():
            while not await _is_ready(handle):
                await asyncio.sleep(_LOOK_SECONDS)
        self._ready = True
        await became_ready()
        await asyncio.Event().wait()

    async def ask(self, method: str, requests: Sequence[bytes], context: grpc.aio.ServicerContext) -> Answer:
        """Have a call answered; one that changes nothing by another replica, if the first one dies.

        Args:
            method: ``duet.v1.SearchService/Search``.
            requests: serialised; one, or all of a stream.
            context: of the call.
        """
        try:
            if needed(method) is Scope.WRITE:
                return await self._change_by(method, requests, context)
            for left in reversed(range(_TRIES)):
                with contextlib.suppress(*([ReplicaLostError] if left else [])):
                    return await self._ask(Scope.READ, method, requests, context)
            raise AssertionError("the last one is not suppressed")
        except Exception as error:  # noqa: BLE001 - boundary
            return Answer(status=status_of(error, method).SerializeToString())

    async def _change_by(self, method: str, requests: Sequence[bytes], context: grpc.aio.ServicerContext) -> Answer:
        try:
            return await self._ask(Scope.WRITE, method, requests, context)
        finally:
            self._change = secrets.token_hex(8)  # also after an error: it may have been made

    async def _ask(
        self, scope: Scope, method: str, requests: Sequence[bytes], context: grpc.aio.ServicerContext
    ) -> Answer:
        if not self._ready:
            raise NotReadyError
        call = current_call.get()
        trace_parent = "" if call is None else call.child_parent
        question = Question(method, requests, context.time_remaining(), trace_parent, self._change)
        response = self._handles[scope].answer.remote(question)
        self._under_way += scope is Scope.READ
        try:
            answer: Answer = await response
        except asyncio.CancelledError:
            response.cancel()
            raise
        except BackPressureError:
            raise OverloadError from None
        except DeploymentUnavailableError:
            raise NotReadyError from None
        except RayActorError:
            raise ReplicaLostError from None
        finally:
            self._under_way -= scope is Scope.READ
        return answer

    def state(self) -> Collector:
        """See `Backend`. What each replica has counted; one that does not answer is left out."""
        return ReplicaMetrics(self._counted)

    def _counted(self) -> list[Counted]:
        found: dict[Scope, list[Counted]] = {Scope.READ: []}
        for scope, handle in dict(self._handles).items():
            try:
                answers = handle.broadcast("counted").results(timeout_s=_SCRAPE_SECONDS, return_exceptions=True)
            except Exception as error:  # noqa: BLE001 - boundary: metrics show what there is
                answers = [error]
            found[scope] = [one for one in answers if isinstance(one, Counted)]
            for one in answers:
                if not isinstance(one, Counted):
                    log.warning("a replica was asked for its metrics in vain: %r", one)
        readers = found[Scope.READ]
        waiting = self._under_way - sum(one.running for one in readers)
        limit = len(readers) * self._settings.threads + self._settings.waiting
        return [of_the_listener(self._ready, waiting, limit, self._changes), *itertools.chain(*found.values())]

    def _deploy(self) -> None:
        with self._deploying:
            if self._closed:
                return
            snapshot = self._index.latest()
            if snapshot is not None:  # what is wrong with it is better told here than by every replica
                checkpoint_of(snapshot, self._settings.model_copy(update={"device": "cpu"}))
            logging.getLogger("ray.serve").setLevel(logging.WARNING)
            serve.start(proxy_location=ProxyLocation.Disabled, logging_config=_LOGGED)
            targets = [
                serve.RunTarget(deployment.bind(self._index.uri, given, self._limits), self._names[scope], None)
                for scope, deployment, given in _deployments(self._settings)
            ]
            serve.run_many(targets, wait_for_applications_running=False, wait_for_ingress_deployment_creation=False)
            applications = serve.status().applications
            self._deployed = {name: applications[name].last_deployed_time_s for name in self._names.values()}

    def _running(self) -> bool:
        """Whether both applications run. Raises `DuetError` if one cannot."""
        applications = [serve.status().applications[name] for name in self._names.values()]
        for one in applications:
            if one.status is ApplicationStatus.DEPLOY_FAILED:
                text = "\n".join([one.message, *(part.message for part in one.deployments.values())])
                raised = _RAISED.findall(text)
                raise DuetError(raised[-1] if raised else f"replicas cannot be put up: {one.message}")
        return all(one.status is ApplicationStatus.RUNNING for one in applications)

    def close(self) -> None:
        """See `Backend`. Replicas that another server has taken over meanwhile stay."""
        with self._deploying:
            self._closed = True
            if not self._deployed or not ray.is_initialized():
                return
            applications = serve.status().applications
            for name, deployed in self._deployed.items():
                if name in applications and applications[name].last_deployed_time_s == deployed:
                    serve.delete(name)


async def _is_ready(handle: DeploymentHandle[Any]) -> bool:
    try:
        return bool(await handle.ready.remote())
    except (RayActorError, DeploymentUnavailableError):  # it died meanwhile, and Ray Serve starts another
        return False


def _deployments(settings: ServeSettings) -> Iterator[tuple[Scope, serve.Deployment, ServeSettings]]:
    """What is put up, and the settings of each of its replicas."""
    # What concerns the listener alone is no replica's; by its metrics' port replicas see that they have to count.
    given = settings.model_copy(update={"tls": TlsSettings(), "tokens": None, "audit": None, "ray": False})
    on_gpu = settings.device != "cpu"
    common = serve.deployment()(Replica).options(
        max_ongoing_requests=settings.threads,
        max_queued_requests=settings.waiting,
        graceful_shutdown_timeout_s=settings.drain_seconds,
        graceful_shutdown_wait_loop_s=_LOOK_SECONDS,
        logging_config=_LOGGED,
    )
    readers = common.options(
        name="replica", ray_actor_options={"num_cpus": settings.replica_cpus, "num_gpus": int(on_gpu)}
    )
    if settings.max_replicas is None:
        readers = readers.options(num_replicas=settings.replicas)
    else:
        scaling = AutoscalingConfig(
            min_replicas=settings.replicas,
            max_replicas=settings.max_replicas,
            target_ongoing_requests=max(1, settings.threads / 2),
        )
        readers = readers.options(autoscaling_config=scaling)
    # On its GPU a replica sees no other.
    yield Scope.READ, readers, given.model_copy(update={"device": "cuda"}) if on_gpu else given
    # Changes wait for each other, so there is one that makes them; it needs no embeddings in memory.
    writer = common.options(name="changes", num_replicas=1, ray_actor_options={"num_cpus": 0})
    yield Scope.WRITE, writer, given.model_copy(update={"device": "cpu", "cache_bytes": 0})
