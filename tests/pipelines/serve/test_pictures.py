"""Pictures by their location: below the roots, and nowhere else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import grpc
import pytest

from pipelines.rpc.duet.v1 import catalog_pb2
from pipelines.serve.client import Client
from pipelines.serve.errors import ServiceError

from .shop import Running, Shop, picture

Item = catalog_pb2.UpsertItem


def test_a_picture_by_its_location(own: tuple[Shop, Client, Running]) -> None:
    _, client, _ = own
    client.upsert([Item(item_id="a", image_uri="in.png")])
    best = client.search(image=picture(77), page_size=1).hits[0]
    assert (best.item_id, best.image_uri) == ("a", "in.png")
    assert client.search(image_uri="in.png", page_size=1).hits[0].item_id == "a"


OUTSIDE = [
    "../secret.png",
    "link.png",
    "{root}/../secret.png",
    "{out}",
    "file://{out}",
    "/etc/passwd",
    "http://127.0.0.1:1/x.png",
    "http://169.254.169.254/latest/meta-data",
    "https://10.0.0.1/x",
    "s3://bucket/x.png",
    "ftp://x/y",
]


def test_no_picture_outside_the_roots(own: tuple[Shop, Client, Running], pictures: Path) -> None:
    _, client, _ = own
    for form in OUTSIDE:
        uri = form.format(root=pictures / "root", out=pictures / "secret.png")
        for ask, field in (
            (partial(client.search, image_uri=uri), "image_uri"),
            (partial(client.upsert, [Item(item_id="a", image_uri=uri)]), "[0].item.image_uri"),
        ):
            with pytest.raises(ServiceError) as raised:
                ask()
            assert (raised.value.code, raised.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "URI_OUTSIDE_ROOTS")
            assert raised.value.field == field and str(pictures) not in str(raised.value)
    with pytest.raises(ServiceError) as raised:
        client.search(image_uri="nowhere.png")
    assert raised.value.reason == "IMAGE_NOT_FOUND"


def test_without_roots_no_location_is_read(client: Client) -> None:
    with pytest.raises(ServiceError) as raised:
        client.search(image_uri="in.png")
    assert raised.value.reason == "URI_OUTSIDE_ROOTS"
