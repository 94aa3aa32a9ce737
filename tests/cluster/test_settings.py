from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, ValidationError

from cluster.settings import Section, Settings, describe, parse_settings


class Encoder(Section):
    backbone: Literal["resnet18", "resnet50"] = "resnet18"
    """Which backbone."""
    size: int = Field(224, ge=16)
    """Side of the picture, pixels."""


class Training(Settings):
    """Train something.

    In two paragraphs.
    """

    manifest: tuple[str, ...]
    """Files or globs."""
    out: Path
    """Folder that is written."""
    batch_size: int = Field(16, ge=1)
    """Pictures per step."""
    seed: int | None = None
    """Seed of all randomness."""
    resume: bool = True
    """Whether to go on where an earlier run ended."""
    encoder: Encoder = Encoder()
    """The encoder."""


NEEDED = ["--manifest", "a.parquet", "--out", "x"]


def parse(*arguments: str) -> Training:
    return parse_settings(Training, [*NEEDED, *arguments], "duet try")


def faults(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> list[str]:
    with pytest.raises(SystemExit) as stop:
        parse_settings(Training, arguments, "duet try")
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_command_line_sets_fields_of_all_kinds() -> None:
    given = parse("--manifest", "b c.parquet", "--batch-size", "8", "--no-resume", "--encoder.size", "32")
    assert given == Training(
        manifest=("a.parquet", "b c.parquet"), out=Path("x"), batch_size=8, resume=False, encoder=Encoder(size=32)
    )
    assert type(given) is Training
    assert pickle.loads(pickle.dumps(given)) == given  # travels to workers


def test_command_line_over_environment_over_recipe_over_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('batch_size = 2\nseed = 2\nmanifest = ["r"]\n[encoder]\nsize = 20\nbackbone = "resnet50"\n')
    monkeypatch.setenv("DUET_SEED", "3")
    monkeypatch.setenv("DUET_ENCODER__SIZE", "30")
    given = parse_settings(Training, ["--recipe", str(recipe), "--out", "x", "--encoder.size", "40"], "duet try")
    assert (given.manifest, given.batch_size, given.seed, given.resume) == (("r",), 2, 3, True)
    assert given.encoder == Encoder(size=40, backbone="resnet50")
    monkeypatch.delenv("DUET_ENCODER__SIZE")
    assert parse("--recipe", str(recipe)).encoder.size == 20
    assert parse().encoder.size == 224, "a recipe must not outlive its command"


def test_each_fault_is_a_line_with_the_option_and_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    lines = faults(capsys, [*NEEDED, "--batch-size", "0", "--encoder.backbone", "vgg"])
    assert lines == [
        "duet try: --batch-size: Input should be greater than or equal to 1 (given: '0')",
        "duet try: --encoder.backbone: Input should be 'resnet18' or 'resnet50' (given: 'vgg')",
    ]


def test_missing_setting_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert faults(capsys, []) == ["duet try: --manifest: Field required", "duet try: --out: Field required"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--batch", "3"], "unrecognized arguments: --batch 3"),  # no abbreviations: they break when a field is added
        (["stray"], "unrecognized arguments: stray"),
        (["--batch-size"], "expected one argument"),
        (["--manifest", "[broken"], "manifest"),
        (["--recipe", "absent.toml"], "--recipe absent.toml: No such file"),
    ],
)
def test_wrong_command_line_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], part: str) -> None:
    (line,) = faults(capsys, [*NEEDED, *arguments])
    assert line.startswith("duet try: ")
    assert part in line


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"batch_size =", "recipe.toml: Invalid value"),
        (b"\xff\xfe", "recipe.toml: 'utf-8' codec"),
        (b"batchsize = 3", "--batchsize: Extra inputs are not permitted (given: 3)"),
        (b"[encoder]\nsise = 3", "--encoder.sise: Extra inputs are not permitted (given: 3)"),
    ],
)
def test_wrong_recipe_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: bytes, part: str) -> None:
    (tmp_path / "recipe.toml").write_bytes(text)
    (line,) = faults(capsys, [*NEEDED, "--recipe", str(tmp_path / "recipe.toml")])
    assert part in line


def test_wrong_environment_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUET_MANIFEST", "not json")
    (line,) = faults(capsys, ["--out", "x"])
    assert '"manifest"' in line


def test_long_faulty_value_is_cut() -> None:
    with pytest.raises(ValidationError) as error:
        Encoder.model_validate({"size": "x" * 1000})
    (line,) = describe(error.value)
    assert len(line) < 250


def test_help_shows_every_setting_with_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse_settings(Training, ["--help"], "duet try")
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "duet try",
        "Train something.",
        "--recipe FILE",
        "--batch-size",
        "Pictures per step.",
        "(default: 16)",
    ):
        assert text in shown
    assert "Side of the picture, pixels." in shown


def test_settings_are_frozen_and_refuse_unknown_names() -> None:
    given = parse()
    with pytest.raises(ValidationError):
        given.seed = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        given.encoder.size = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Training(manifest=("a",), out=Path("x"), sed=3)  # type: ignore[call-arg]


def test_saved_settings_are_the_settings(tmp_path: Path) -> None:
    given = parse("--encoder.size", "64", "--manifest", "ärmel.parquet")
    given.save(tmp_path / "settings.json")
    given.save(tmp_path / "settings.json")
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]
    assert Training.model_validate(json.loads((tmp_path / "settings.json").read_text())) == given
