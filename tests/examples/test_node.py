"""The example for Node, as its first lines say: by reflection alone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.serve.client import Client
from tests.pipelines.serve.shop import Running, make_shop, picture, serving

EXAMPLE = Path(__file__).parents[2] / "examples" / "node"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("npm") is None, reason="Node is not installed: the example for it is not run"),
]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, installed."""
    folder = tmp_path_factory.mktemp("node")
    for path in EXAMPLE.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm cannot install the example's two libraries: {done.stderr[-200:]}")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(make_shop(tmp_path_factory.mktemp("shop"), 5)) as running, Client(running.target) as client:
        client.published()  # tried again until the server is ready
        yield running


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", "search.mjs", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


def test_a_picture_is_searched(example: Path, server: Running, tmp_path: Path) -> None:
    (tmp_path / "dress.png").write_bytes(picture(3))
    done = run(example, server.target, str(tmp_path / "dress.png"))
    assert done.returncode == 0, done.stderr
    services, summary, *hits = done.stdout.splitlines()
    assert "duet.v1.SearchService" in services and "duet.v1.CatalogService" in services
    with Client(server.target) as client:
        expected = client.search(image=picture(3), page_size=3)
    assert summary == f"3 of 5 candidates, snapshots/{expected.snapshot_id}"
    for line, hit in zip(hits, expected.hits, strict=True):
        assert line.startswith(f"{hit.rank}. {hit.item_id}  {hit.score:.3f}  ")
        assert all(f"{one.attribute} {one.similarity:.3f}" in line for one in hit.contributions)


def test_what_is_refused_is_said(example: Path, server: Running, tmp_path: Path) -> None:
    (tmp_path / "no picture").write_text("x")
    done = run(example, server.target, str(tmp_path / "no picture"))
    assert done.returncode == 1 and done.stderr.startswith("INVALID_ARGUMENT: ")
