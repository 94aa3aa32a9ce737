"""The server and the process that ingests, which are killed and started again."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil

from pipelines.serve import client_calls as calls
from pipelines.serve.client_calls import Call, Stubs
from pipelines.serve.errors import ServiceError, from_rpc_error

_SLACK = 1.0  # seconds after the start, in which a connection may still be the one that was cut
# Every connection is one of its own, and nothing is asked again by itself: what fails is to be seen.
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]


@dataclass
class Life:
    """A server from its start to its end.

    Attributes:
        ready: `time.monotonic` when it answered first.
        memory: (seconds since then, requests since then, resident bytes), every second.
    """

    ready: float = 0.0
    memory: list[tuple[float, int, int]] = field(default_factory=list)


class Server:
    """``duet serve`` of an index; thread-safe.

    Attributes:
        lives: all of them, the last one being that of now.
        answered: requests that were, in all lives.
    """

    def __init__(self, index: str, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._arguments = ["pipelines.serve", "--index", index, "--port", str(self.port), "--poll-seconds", "0.2"]
        self._log = log
        self._downs: list[list[float]] = []
        self.lives: list[Life] = []
        self.answered = 0
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = 120.0) -> None:
        """Start it; returns when it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", *self._arguments], stdout=log, stderr=log)
        end = time.monotonic() + timeout
        with grpc.insecure_channel(self.target, options=[*_OPTIONS, ("grpc.max_reconnect_backoff_ms", 300)]) as channel:
            while True:
                try:
                    Stubs(channel)["GetSnapshot"](calls.published().request, timeout=10)
                    break
                except grpc.RpcError:
                    assert self._process.poll() is None, f"the server ended by itself: {self._log.read_text()[-2000:]}"
                    assert time.monotonic() < end, "the server does not start"
                    time.sleep(0.1)
        with self._lock:
            self.lives.append(Life(time.monotonic()))
            self._begun = self.answered
            if self._downs:
                self._downs[-1][1] = time.monotonic() + _SLACK

    @property
    def target(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        with self._lock:
            self._downs.append([time.monotonic(), float("inf")])
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def was_down(self, since: float) -> bool:
        """Whether it was down at any time since then."""
        with self._lock:
            return any(end >= since for _, end in self._downs)

    def measure(self) -> None:
        """Write down how much memory it takes."""
        assert self._process is not None
        try:
            memory = psutil.Process(self._process.pid).memory_info().rss
        except psutil.NoSuchProcess:
            return
        with self._lock:
            life = self.lives[-1]
            if not self._downs or self._downs[-1][1] != float("inf"):
                life.memory.append((time.monotonic() - life.ready, self.answered - self._begun, memory))

    def count(self) -> None:
        """A request was answered."""
        with self._lock:
            self.answered += 1


class Caller:
    """A client that never asks again by itself, and has a new connection after each that failed."""

    def __init__(self, server: Server) -> None:
        self._server, self._channel = server, self._connect(server)

    @staticmethod
    def _connect(server: Server) -> grpc.Channel:
        return grpc.insecure_channel(server.target, options=_OPTIONS)

    def ask(self, call: Call[Any], timeout: float = 120.0) -> Any:
        """The answer. Raises `ServiceError`."""
        request = iter(call.request) if isinstance(call.request, list) else call.request
        try:
            answer = call.read(Stubs(self._channel)[call.method](request, timeout=timeout))
        except grpc.RpcError as error:
            self._channel.close()
            self._channel = self._connect(self._server)
            raise from_rpc_error(error) from error
        self._server.count()
        return answer

    def ask_through(self, call: Call[Any]) -> Any:
        """The answer, asked for again for as long as the server is down or somebody else writes; see `expected`."""
        while True:
            since = time.monotonic()
            try:
                return self.ask(call)
            except ServiceError as error:
                if not self.expected(error, since):
                    raise
            time.sleep(0.2)

    def expected(self, error: ServiceError, since: float) -> bool:
        """Whether a call that began then may fail so: the server was killed, or another process writes."""
        if error.reason == "INDEX_BUSY":
            return True
        return error.code is grpc.StatusCode.UNAVAILABLE and self._server.was_down(since)


class Ingester:
    """The process that ingests."""

    def __init__(self, index: str, log: Path) -> None:
        self._index, self._log = index, log
        self._process: subprocess.Popen[str] | None = None

    def run(self, manifest: str, delete: bool) -> dict[str, Any] | None:
        """Ingest a manifest; what the process says, None if it was killed."""
        if self._process is None or self._process.poll() is not None:
            arguments = [sys.executable, "-m", "tests.pipelines.serve.soak.ingesting", self._index]
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
                )
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([manifest, delete]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self._process.stdout.readline()
        if line.strip():
            said: dict[str, Any] = json.loads(line)
            return said
        code = self._process.wait()
        assert code == -signal.SIGKILL, f"the ingestion ended with {code}: {self._log.read_text()[-2000:]}"
        return None

    def kill(self) -> bool:
        """SIGKILL, if it runs."""
        if self._process is None or self._process.poll() is not None:
            return False
        self._process.send_signal(signal.SIGKILL)
        return True
