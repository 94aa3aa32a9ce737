"""Pictures are read below declared roots and from nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import ImageError
from pipelines.data import locations
from pipelines.data.images import ImageLimits, read_image
from pipelines.data.locations import find_image
from tests.s3 import S3


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("tree")
    for name, text in {
        "root/a.jpg": "a",
        "root/in ner/ü.jpg": "u",
        "other/b.jpg": "b",
        "secret": "s",
        "rootless/x": "x",
    }.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(text)
    (base / "root/inside.jpg").symlink_to(base / "root/a.jpg")
    (base / "root/outside.jpg").symlink_to(base / "secret")
    (base / "root/dangling.jpg").symlink_to(base / "none")
    (base / "root/way").symlink_to(base)
    (base / "link").symlink_to(base / "root")
    os.mkfifo(base / "root/pipe")
    return base


def code(uri: str, *roots: Path | str, limits: ImageLimits | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(uri, [str(root) for root in roots], limits or ImageLimits())
    return caught.value.code


def outcome(look: Callable[[], bytes]) -> bytes | tuple[str, str]:
    try:
        return look()
    except ImageError as error:
        return error.code, str(error)


def test_relative_absolute_and_file_addresses(tree: Path) -> None:
    roots = [str(tree / "other"), str(tree / "root")]
    assert read_image("a.jpg", roots) == b"a"
    assert read_image("./in ner/ü.jpg", roots) == b"u"
    assert read_image(str(tree / "root" / "a.jpg"), roots) == b"a"
    assert read_image((tree / "root" / "in ner" / "ü.jpg").as_uri(), roots) == b"u"
    assert read_image("a.jpg", [(tree / "root").as_uri()]) == b"a"


def test_a_root_may_be_a_link_and_links_may_stay_inside(tree: Path) -> None:
    assert read_image("a.jpg", [str(tree / "link")]) == b"a"
    assert read_image(str(tree / "link" / "a.jpg"), [str(tree / "link")]) == b"a"
    assert read_image("inside.jpg", [str(tree / "root")]) == b"a"


@pytest.mark.parametrize(
    "uri",
    [
        "../secret", "in ner/../../secret", "..", "a/..\\..\\secret", "file:///../secret", "file:///%2e%2e/secret",
        "/etc/passwd", "file:///etc/passwd", "http://example.org/a.jpg", "https://example.org/a.jpg", "ftp://h/a.jpg",
        "gs://bucket/a.jpg", "s3://bucket/a.jpg", "outside.jpg", "way/secret", "way/other/b.jpg",
    ],
)  # fmt: skip
def test_what_leads_out_is_refused(tree: Path, uri: str) -> None:
    assert code(uri, tree / "root") == "OUTSIDE_ROOTS"


def test_a_neighbour_with_the_same_beginning_is_outside(tree: Path) -> None:
    assert code(str(tree / "rootless" / "x"), tree / "root") == "OUTSIDE_ROOTS"


@pytest.mark.parametrize("uri", ["none.jpg", "in ner", ".", "pipe", "a.jpg/b", "", "a\0.jpg", "x" * 5000])
def test_what_is_no_file_is_not_found(tree: Path, uri: str) -> None:
    assert code(uri, tree / "root") == "NOT_FOUND"


def test_without_roots_nothing_is_read(tree: Path) -> None:
    assert code(str(tree / "root" / "a.jpg")) == "OUTSIDE_ROOTS"


def test_a_file_above_the_cap_is_not_read(tree: Path) -> None:
    assert code("in ner/ü.jpg", tree / "root", limits=ImageLimits(max_bytes=0)) == "TOO_LARGE"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["..", ".", "", "root", "way", "secret", "other", "b.jpg", "a.jpg", "outside.jpg"]), max_size=6
    ),
    st.booleans(),
)
def test_no_path_reaches_what_lies_outside(tree: Path, parts: list[str], absolute: bool) -> None:
    uri = "/".join(([str(tree)] if absolute else []) + parts)
    roots = [str(tree / "root")]
    read = outcome(lambda: read_image(uri, roots))
    assert read == b"a" or isinstance(read, tuple)
    assert read == outcome(lambda: Path(find_image(uri, roots).path).read_bytes())


@pytest.mark.parametrize("swapped", ["shop/d/a.jpg", "shop/d", "shop"])
@pytest.mark.parametrize("by", ["link", "pipe"])
def test_what_is_swapped_after_it_was_looked_at_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str, by: str
) -> None:
    for name in ("root/shop/d/a.jpg", "elsewhere/shop/d/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(name)
    find, old = locations.find_image, tmp_path / "root" / swapped

    def find_and_swap(uri: str, roots: list[str]) -> locations.Found:
        found = find(uri, roots)
        old.rename(tmp_path / "old")
        if by == "link":
            old.symlink_to(tmp_path / "elsewhere" / swapped)
        else:
            os.mkfifo(old)
        return found

    assert locations.read_image("shop/d/a.jpg", [str(tmp_path / "root")]) == b"root/shop/d/a.jpg"
    monkeypatch.setattr(locations, "find_image", find_and_swap)
    with pytest.raises(ImageError) as raised:
        locations.read_image("shop/d/a.jpg", [str(tmp_path / "root")])
    assert raised.value.code == "NOT_FOUND"


def test_finding_tells_where_links_lead_and_the_size(tree: Path) -> None:
    found = find_image("inside.jpg", [str(tree / "root")])
    assert (found.path, found.size) == (os.path.realpath(tree / "root/a.jpg"), 1)


@pytest.mark.parametrize(
    ("there", "not_there"),
    [("../secret", "../none"), ("way/secret", "way/none"), ("outside.jpg", "dangling.jpg"), ("/etc/passwd", "/none")],
)
def test_what_lies_outside_is_refused_alike_if_nothing_is_there(tree: Path, there: str, not_there: str) -> None:
    told = []
    for uri in (there, not_there):
        with pytest.raises(ImageError) as caught:
            find_image(uri, [str(tree / "root")])
        told.append((caught.value.code, str(caught.value).replace(uri, "")))
    assert told[0] == told[1]
    assert told[0][0] == "OUTSIDE_ROOTS"


def test_what_cannot_be_looked_for_is_not_said_to_be_missing(tree: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        find_image("x" * 300, [str(tree / "root")])
    assert code("x" * 300, tree / "root") == "NOT_FOUND"


def test_s3(s3: S3, tree: Path) -> None:
    s3.put({"pics/a/p 1.jpg": b"one", "pics/ab/q.jpg": b"two", "private/x.jpg": b"x"})
    roots = [str(tree / "root"), "s3://pics/a/"]
    assert read_image("s3://pics/a/p 1.jpg", roots) == b"one"
    assert read_image("p 1.jpg", roots) == b"one"
    assert read_image("a.jpg", roots) == b"a"
    assert code("s3://pics/ab/q.jpg", *roots) == "OUTSIDE_ROOTS"
    assert code("s3://private/x.jpg", *roots) == "OUTSIDE_ROOTS"
    assert code("s3://pics/a/../ab/q.jpg", *roots) == "OUTSIDE_ROOTS"
    assert code("s3://pics/a/none.jpg", *roots) == "NOT_FOUND"
    assert code("none.jpg", *roots) == "NOT_FOUND"
