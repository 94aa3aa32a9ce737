"""``duet data import`` as a user calls it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from pipelines.data.__main__ import main
from pipelines.data.public.registry import DATA_SETS
from pipelines.train.settings import TrainSettings

from .trees import TREES, zappos50k


def status(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)


def test_help_lists_every_set_and_where_it_is_obtained(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("import", "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: duet data import NAME PATH --out FOLDER")
    for name, data_set in DATA_SETS.items():
        assert f"  {name} " in shown and data_set.text in shown and data_set.obtained in shown
    assert status("import") == 2
    assert capsys.readouterr().err == shown


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("fashionai", "--maybe"),
        ("asen", "--set-name"),
        ("deepfashion", "--images"),
        ("zappos50k", "--no-check-images"),
        ("shopping100k", "--copy-images"),
        ("imaterialist2018", "--pictures"),
        ("celeba", "--groups"),
    ],
)
def test_each_set_tells_its_options(name: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("import", name, "--help") == 0
    assert option in capsys.readouterr().out


def test_summary_and_the_commands_to_go_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree, out = tmp_path / "my tree", tmp_path / "out"
    tree.mkdir()
    expected = zappos50k(tree)
    assert status("import", "zappos50k", str(tree), "--out", str(out)) == 0
    shown = capsys.readouterr().out.splitlines()
    manifest = f"{out}/manifest.parquet"
    assert shown[0] == f"{manifest}: 5 items (train 3, test 1, (none) 1), 4 attributes, 11 classes"
    assert shown[1] == f"{out}/triplets.parquet: train 2, test 1"
    assert shown[2].startswith("left out: ") and "1 x id out of range" in shown[2]
    assert shown[3].startswith("odd, but kept: ") and "1 x item in the triplets of several splits" in shown[3]
    describe, train, evaluate = (shlex.split(line) for line in shown if line.startswith("  duet "))
    assert describe == ["duet", "data", "describe", manifest, "--roots", str(tree / expected.root)]
    assert status(*describe[2:]) == 0
    assert "5 rows" in capsys.readouterr().out
    options = dict(zip(train[2::2], train[3::2], strict=True))
    assert options == {"--manifest": manifest, "--roots": describe[-1], "--out": "FOLDER"}
    assert {name.removeprefix("--") for name in options} <= set(TrainSettings.model_fields)
    assert evaluate == [
        *("duet", "evaluate", "--checkpoint", "FOLDER/checkpoint", "--manifest", manifest, "--roots", describe[-1]),
        *("--triplets.file", f"{out}/triplets.parquet", "--out", "FOLDER/evaluation"),
    ]


def test_copied_pictures_need_no_roots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tree").mkdir()
    zappos50k(tmp_path / "tree")
    assert status("import", "zappos50k", str(tmp_path / "tree"), "--out", str(tmp_path / "out"), "--copy-images") == 0
    assert "--roots" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["imagenet", "x", "--out", "y"], "duet data import: no data set 'imagenet'; see duet data import --help"),
        (["fashionAI", "x", "--out", "y"], "did you mean 'fashionai'?"),
        (["celeba", "none", "--out", "y"], "none: no such folder; the set is obtained from the CelebA project"),
        (["celeba", "--out", "y"], "PATH"),
        (["celeba", "x"], "--out"),
        (["celeba", "x", "--out", "y", "--maybe", "carry"], "--maybe"),
        (["fashionai", "x", "--out", "y", "--maybe", "never"], "--maybe"),
    ],
)
def test_faults_of_the_user_are_one_line_and_status_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status("import", *arguments) == 2
    error = capsys.readouterr().err
    assert told in error and len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


# Each file that a set cannot do without.
FILES = {
    "fashionai": ["train1/Annotations/label.csv"],
    "asen": [
        "meta.json",
        *(f"DARN/{name}.txt" for name in ("filenames_train", "filenames_valid", "filenames_test", "label_train")),
        *(f"DARN/{part}_{split}.txt" for part in ("query", "candidate") for split in ("valid", "test")),
    ],
    "asen-deepfashion": ["DeepFashion/Anno/list_attr_cloth.txt"],
    "deepfashion": [
        "Anno_coarse/list_attr_cloth.txt",
        "Anno_coarse/list_attr_img.txt",
        "Eval/list_eval_partition.txt",
    ],
    "zappos50k": ["filenames.json", "tripletlists/heel_tripletlist_val.txt"],
    "shopping100k": ["attr_num.txt", "imgs_train.txt", "labels_train.txt", "imgs_test.txt", "labels_test.txt"],
    "imaterialist2018": ["train.json", "validation.json", "iMat_fashion_2018_label_map_228.csv"],
    "celeba": ["Anno/list_attr_celeba.txt", "Eval/list_eval_partition.txt"],
}


@pytest.mark.parametrize(("tree", "file"), [(tree, file) for tree, files in FILES.items() for file in files])
def test_a_missing_file_is_told_with_where_the_set_is_obtained(
    tree: str, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, folder = tree.partition("-")[0], tmp_path / "tree"
    folder.mkdir()
    options = TREES[tree](folder).options
    (folder / file).unlink()
    if name == "fashionai":
        (folder / "train2/Annotations/label.csv").unlink()
    assert status("import", name, str(folder), "--out", str(tmp_path / "out"), *options) == 2
    error = capsys.readouterr().err
    assert file.rpartition("/")[2] in error and str(folder) in error
    assert "no such file" in error and DATA_SETS[name].obtained in error
    assert len(error.strip().splitlines()) == 1 and not (tmp_path / "out").exists()
