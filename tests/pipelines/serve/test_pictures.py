"""Pictures by their location: below the roots, and nowhere else."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

import grpc
import pytest

from pipelines.rpc.duet.v1 import catalog_pb2
from pipelines.search.request import SearchRequest
from pipelines.serve.client import Client
from pipelines.serve.errors import ServiceError
from pipelines.serve.pictures import Pictures

from .shop import Running, Shop, picture

pytestmark = pytest.mark.usefixtures("on_loopback", "then_served")

Item = catalog_pb2.UpsertItem


def test_a_picture_by_its_location(own: tuple[Shop, Client, Running]) -> None:
    _, client, _ = own
    client.upsert([Item(item_id="a", image_uri="in.png")])
    best = client.search(image=picture(77), page_size=1).hits[0]
    assert (best.item_id, best.image_uri) == ("a", "in.png")
    assert client.search(image_uri="in.png", page_size=1).hits[0].item_id == "a"


def test_pages_of_a_picture_by_its_location(own: tuple[Shop, Client, Running]) -> None:
    """It is the picture that a page goes on with, wherever it comes from."""
    _, client, _ = own
    first = client.search(image_uri="in.png", page_size=3)
    whole = client.search(image=picture(77), page_size=8)
    for request in (SearchRequest(image_uri="in.png"), SearchRequest(image=picture(77))):
        further = client.search(request, page_size=5, page_token=first.next_page_token)
        assert (*first.hits, *further.hits) == whole.hits


OUTSIDE = [
    "../secret.png",
    "link.png",
    "{root}/../secret.png",
    "{out}",
    "file://{out}",
    "/etc/passwd",
    "http://127.0.0.1:{port}/x.png",
    "http://localhost:{port}/x.png",
    "http://169.254.169.254/latest/meta-data",
    "http://[fe80::1]/x.png",
    "http://10.0.0.1/x.png",
    "https://10.0.0.1/x",
    "HTTP://192.168.0.1/x.png",
    "s3://bucket/x.png",
    "ftp://x/y",
]


def test_no_picture_outside_the_roots(own: tuple[Shop, Client, Running], pictures: Path) -> None:
    """And no connection, to this machine neither; the next request is served."""
    mine, client, _ = own
    before = client.search(image_uri="in.png").hits, mine.index.snapshots()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        for form in OUTSIDE:
            uri = form.format(root=pictures / "root", out=pictures / "secret.png", port=listener.getsockname()[1])
            for ask, field in (
                (partial(client.search, image_uri=uri), "image_uri"),
                (partial(client.explain, SearchRequest(image_uri=uri)), "search.image_uri"),
                (partial(client.upsert, [Item(item_id="a", image_uri=uri)]), "[0].item.image_uri"),
            ):
                with pytest.raises(ServiceError) as raised:
                    ask()
                error = raised.value
                assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "URI_OUTSIDE_ROOTS"), uri
                assert error.field == field and str(pictures) not in str(error)
                assert (client.search(image_uri="in.png").hits, mine.index.snapshots()) == before
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_location_of_nothing(own: tuple[Shop, Client, Running]) -> None:
    _, client, _ = own
    with pytest.raises(ServiceError) as raised:
        client.search(image_uri="nowhere.png")
    assert raised.value.reason == "IMAGE_NOT_FOUND"


def test_without_roots_no_location_is_read(client: Client) -> None:
    with pytest.raises(ServiceError) as raised:
        client.search(image_uri="in.png")
    assert raised.value.reason == "URI_OUTSIDE_ROOTS"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("text.png", b"a red dress, please", "IMAGE_UNSUPPORTED_FORMAT"),
        ("gif.jpg", b"GIF89a" + bytes(40), "IMAGE_UNSUPPORTED_FORMAT"),
        ("cut.png", picture(60)[:-60], "IMAGE_TRUNCATED"),
        ("empty.webp", b"", "IMAGE_EMPTY"),
    ],
)
def test_a_file_that_is_no_picture(
    own: tuple[Shop, Client, Running], pictures: Path, name: str, data: bytes, reason: str
) -> None:
    """Refused by the field that names it, whatever the name says; of an upsert that item alone."""
    _, client, _ = own
    (pictures / "root" / name).write_bytes(data)
    request = SearchRequest(image_uri=name)
    (of_batch,) = client.batch([request])
    found = [of_batch]
    for ask in (partial(client.search, request), partial(client.explain, request)):
        with pytest.raises(ServiceError) as raised:
            ask()
        found.append(raised.value)
    assert [(one.reason, one.field) for one in found if isinstance(one, ServiceError)] == [
        (reason, "image_uri"),
        (reason, "image_uri"),
        (reason, "search.image_uri"),
    ]
    done = client.upsert([Item(item_id="bad", image_uri=name), Item(item_id="good", image_uri="in.png")])
    assert [(one.item_id, one.reason) for one in done.refused_items] == [("bad", reason)] and done.changed_count == 1
    assert client.search(image_uri="in.png", page_size=1).hits[0].item_id == "good"


def test_a_picture_of_another_kind_than_its_name_says(own: tuple[Shop, Client, Running], pictures: Path) -> None:
    _, client, _ = own
    (pictures / "root" / "png.jpg").write_bytes(picture(60))
    assert client.upsert([Item(item_id="a", image_uri="png.jpg")]).changed_count == 1
    by_location, by_bytes = client.search(image_uri="png.jpg"), client.search(image=picture(60))
    assert by_location.hits == by_bytes.hits and by_location.hits[0].item_id == "a"


def test_of_a_refused_item_it_is_not_told_where_its_file_was_looked_for(
    own: tuple[Shop, Client, Running], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client, _ = own
    monkeypatch.setattr(Pictures, "check", lambda *_: None)  # as if the files were gone, or moved, since they were seen
    refused = client.upsert([Item(item_id="a", image_uri="gone.png"), Item(item_id="b", image_uri="link.png")])
    assert [one.reason for one in refused.refused_items] == ["IMAGE_NOT_FOUND", "URI_OUTSIDE_ROOTS"]
    assert str(pictures) not in str(refused)
