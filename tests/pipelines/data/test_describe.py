"""What a manifest holds and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pyarrow as pa
from rich.console import Console

from pipelines.data.describe import Description, describe
from pipelines.data.describe_text import print_description
from pipelines.data.manifest import Manifest
from pipelines.data.wardrobe import write_wardrobe

from .pictures import picture, shop, write_parquet


def problems(description: Description) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {problem.kind: (problem.count, problem.examples) for problem in description.problems}


def shown(description: Description) -> str:
    stream = StringIO()
    print_description(description, Console(file=stream, width=120))
    return stream.getvalue()


def of(path: str, roots: Sequence[str] = ()) -> Description:
    return describe(Manifest.open([path], roots=roots), sample=None)


def test_a_clean_manifest(tmp_path: Path) -> None:
    rows = [{"collar": ["v"], "detail": ["bow", "belt"]}, {"collar": ["round"]}] * 2
    description = of(shop(tmp_path / "x.parquet", rows, ["train", "train", "test", "test"]))
    assert description.rows == 4 and description.splits == {"train": 2, "test": 2} and not description.problems
    collar, detail = description.attributes
    assert (collar.name, collar.labelled, collar.multi_label, collar.classes) == (
        "collar",
        4,
        False,
        {"v": 2, "round": 2},
    )
    assert (detail.labelled, detail.multi_label, detail.classes) == (2, True, {"bow": 2, "belt": 2})
    assert description.to_json()["attributes"][1]["missing_share"] == 0.5
    assert description.pictures_checked == 4
    text = shown(description)
    for part in ("4 rows", "train 2, test 2", "collar", "several", "50.0%", "bow 2", "no problems found"):
        assert part in text


def test_every_problem_is_found(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "x.parquet",
        {
            "item_id": ["a", "b", "a", "c", "d", "e"],
            "image": pa.array([picture(0), picture(1), picture(2), picture(1), b"broken", None]),
            "image_uri": [None] * 5 + ["none.png"],
            "split": ["train", "train", "train", "test", None, "val"],
            "collar": [["v"], ["v"], ["round"], ["hood"], ["hood"], ["a\x00b"]],
            "empty": pa.array([[]] * 6, pa.list_(pa.string())),
            "vector": [[0.5]] * 6,
            "price": [1] * 6,
        },
    )
    description = of(path, [str(tmp_path)])
    found = problems(description)
    assert found["DUPLICATE_ID"] == (1, ("'a'",))
    assert found["NO_SPLIT"] == (1, ("'d'",))
    assert found["PICTURE_IN_TWO_SPLITS"] == (1, ("'b' (train) and 'c' (test)",))
    assert found["CLASS_SEEN_ONCE"] == (2, ("collar: 'a\\x00b'", "collar: 'round'"))
    assert found["CLASS_NOT_IN_TRAIN"] == (2, ("collar: 'a\\x00b'", "collar: 'hood'"))
    assert found["NO_LABELS"] == (1, ("'empty'",))
    assert found["BAD_NAME"][0] == 1 and "control character" in found["BAD_NAME"][1][0]
    count, examples = found["UNREADABLE_PICTURE"]
    assert count == 2 and "UNSUPPORTED_FORMAT" in examples[0] and "NOT_FOUND" in examples[1]
    assert set(found) == {
        "DUPLICATE_ID", "NO_SPLIT", "PICTURE_IN_TWO_SPLITS", "CLASS_SEEN_ONCE", "CLASS_NOT_IN_TRAIN", "NO_LABELS",
        "BAD_NAME", "UNREADABLE_PICTURE",
    }  # fmt: skip
    assert description.ignored == {"vector": "list<element: double>"} and description.metadata == {"price": "int64"}
    text = shown(description)
    assert "(none) 1" in text and "vector (list" in text and "DUPLICATE_ID" in text


def test_a_sample_of_pictures_is_spread_over_the_rows(tmp_path: Path) -> None:
    images = [picture(n) for n in range(100)]
    images[40] = images[41] = b"broken"
    path = write_parquet(tmp_path / "x.parquet", {"item_id": [str(n) for n in range(100)], "image": images})
    manifest = Manifest.open([path])
    description = describe(manifest, sample=10)
    assert description.pictures_checked == 10
    assert problems(description)["UNREADABLE_PICTURE"] == (1, ("'40': " + _broken(),))
    assert problems(describe(manifest, sample=1000))["UNREADABLE_PICTURE"][0] == 2


def _broken() -> str:
    return "UNSUPPORTED_FORMAT not a JPEG, PNG or WebP file (it begins with b'broken')"


def test_examples_are_few(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"item_id": ["a"] * 50, "image": [picture()] * 50})
    count, examples = problems(of(path))["DUPLICATE_ID"]
    assert count == 49 and len(examples) == 5


def test_markup_in_names_is_text(tmp_path: Path) -> None:
    text = shown(of(shop(tmp_path / "x.parquet", [{"[bold]": ["[red]x[/red]"]}] * 2)))
    assert "[bold]" in text and "[red]x[/red]" in text


def test_a_manifest_without_rows(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "x.parquet", {"item_id": pa.array([], pa.string()), "image": pa.array([], pa.binary())}
    )
    description = of(path)
    assert description.rows == 0 and "0 rows, no splits" in shown(description)


def test_the_wardrobe_has_no_problems(tmp_path: Path) -> None:
    description = of(str(write_wardrobe(tmp_path / "w.parquet", 200, size=32)))
    assert description.problems == () and description.rows == description.pictures_checked == 200


def test_real_pictures(test_data: Path) -> None:
    description = of(str(test_data / "products" / "tiny.parquet"))
    assert description.rows == 904 and sum(description.splits.values()) == 904
    assert set(problems(description)) <= {"CLASS_SEEN_ONCE", "CLASS_NOT_IN_TRAIN"}
