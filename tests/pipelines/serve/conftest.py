from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.serve.client import Client

from .shop import Running, Shop, make_shop, serving


@pytest.fixture(scope="package")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Twenty items, published once."""
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="package")
def running(shop: Shop) -> Iterator[Running]:
    """A server of the shop."""
    with serving(shop) as server:
        yield server


@pytest.fixture(scope="package")
def client(running: Running) -> Iterator[Client]:
    with Client(running.target) as one:
        yield one
