"""Finding a set's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.data.public.place import Place
from pipelines.errors import ManifestError

from .trees import write


def test_the_first_that_is_there(tmp_path: Path) -> None:
    place = Place(tmp_path, "the moon")
    second = write(tmp_path / "Anno/x.txt", "")
    (tmp_path / "y.txt").mkdir()
    assert place.file("x.txt", "Anno/x.txt") == second and place.optional("y.txt") is None
    assert place.file("x.txt", "Anno/x.txt") != (first := write(tmp_path / "x.txt", ""))
    assert place.file("x.txt", "Anno/x.txt") == first


def test_what_is_missing_is_told_with_all_places(tmp_path: Path) -> None:
    place = Place(tmp_path, "the moon")
    with pytest.raises(ManifestError) as error:
        place.file("x.txt", "Anno/x.txt")
    told = f"{tmp_path}/x.txt: no such file (nor {tmp_path}/Anno/x.txt); the set is obtained from the moon"
    assert str(error.value) == told


def test_pictures_lie_where_they_are_found_or_where_they_are_said_to(tmp_path: Path) -> None:
    place = Place(tmp_path, "the moon")
    assert place.pictures(None, "img", "", "Img") == tmp_path
    (tmp_path / "Img/img").mkdir(parents=True)
    assert place.pictures(None, "img", "", "Img") == tmp_path / "Img"
    (tmp_path / "img").mkdir()
    assert place.pictures(None, "img", "", "Img") == tmp_path
    assert place.pictures(tmp_path / "Img", "img", "", "Img") == tmp_path / "Img"
    with pytest.raises(ManifestError, match="no such folder; --images"):
        place.pictures(tmp_path / "none", "img", "")
