"""A real S3-compatible server, SeaweedFS, of one process on loopback.

It has S3's conditional writes, on which the index's commits rest, and its consistency of one machine. What it cannot
show: throttling (503 SlowDown), the latency of a network, and credentials that expire.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs

_KEY, _SECRET = "duet", "of no use elsewhere"
_PARTS = ("master", "volume", "filer", "s3")


@dataclass(frozen=True)
class S3:
    """The server: its address, and a client's view of it."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """By which pyarrow and Lance find it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def client(self) -> fs.S3FileSystem:
        """pyarrow's."""
        return fs.S3FileSystem(
            access_key=_KEY,
            secret_key=_SECRET,
            endpoint_override=self.endpoint,
            region="us-east-1",
            allow_bucket_creation=True,
        )

    def put(self, objects: Mapping[str, bytes]) -> None:
        """Write objects: ``bucket/key`` -> bytes. Buckets are made."""
        client = self.client
        for name, data in objects.items():
            client.create_dir(name.partition("/")[0])
            with client.open_output_stream(name) as stream:
                stream.write(data)

    def keys(self, prefix: str) -> list[str]:
        """All objects below ``bucket/prefix``."""
        found = self.client.get_file_info(fs.FileSelector(prefix, recursive=True, allow_not_found=True))
        return sorted(info.path for info in found if info.type == fs.FileType.File)


@contextmanager
def serve_s3(folder: Path) -> Iterator[S3]:
    """Start it, its data in an empty folder; killed in the end."""
    identity = {"name": "tests", "credentials": [{"accessKey": _KEY, "secretKey": _SECRET}], "actions": ["Admin"]}
    (folder / "identities.json").write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    ports = _free_ports(2 * len(_PARTS))
    options = [f"-{part}.port={port}" for part, port in zip(_PARTS, ports, strict=False)]
    options += [f"-{part}.port.grpc={port}" for part, port in zip(_PARTS, ports[len(_PARTS) :], strict=True)]
    options += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=0", "-master.volumeSizeLimitMB=64"]
    options += [
        f"-dir={folder}",
        "-s3",
        f"-s3.config={folder / 'identities.json'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]
    with (folder / "log.txt").open("wb") as log:
        command = [str(Path(sys.executable).parent / "weed"), "-logtostderr", "server", *options]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            endpoint = f"http://127.0.0.1:{ports[_PARTS.index('s3')]}"
            _wait_for(f"{endpoint}/healthz", process, folder / "log.txt")
            yield S3(endpoint)
        finally:
            process.kill()
            process.wait()


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text(errors='replace')[-2000:]}")
