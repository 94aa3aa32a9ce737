from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from model.checkpoint import save_checkpoint
from model.duet import encode
from model.encoder import ClassPairs
from model.preparation import ImagePreparation
from pipelines.errors import DuetError
from pipelines.evaluate.attention import draw_look, look, overlay
from pipelines.evaluate.attention_command import main
from tests.model.networks import TAXONOMY, encoder, pictures

PIXELS = pictures(1, 64, 48)[0].permute(1, 2, 0).contiguous().numpy()


@pytest.mark.parametrize("system", ["m3net", "asen_v2"])
def test_maps_are_the_encoders(system: str) -> None:
    net = encoder(system)
    seen = look(net, PIXELS)
    with torch.no_grad():
        output = net.attributes(torch.from_numpy(PIXELS).permute(2, 0, 1)[None])
    assert output.attention is not None
    for n, name in enumerate(TAXONOMY.names):
        np.testing.assert_allclose(seen.attributes[name], output.attention[0, n].numpy(), atol=1e-6)
    duet = encode(net, torch.from_numpy(PIXELS).permute(2, 0, 1)[None])
    predicted = [TAXONOMY.class_name(index) for index in duet.predicted[0].nonzero()[:, 0].tolist()]
    assert list(seen.probabilities) == predicted
    assert list(seen.classes) == (predicted if net.has_classes else [])
    for (attribute, name), attention in seen.classes.items():
        index = torch.tensor([TAXONOMY.class_index(attribute, name)])
        with torch.no_grad():
            expected = net.class_attention(output, ClassPairs(torch.zeros(1, dtype=torch.long), index))
        np.testing.assert_allclose(attention, expected[0].numpy(), atol=1e-6)


def test_what_does_not_attend_says_so() -> None:
    with pytest.raises(DuetError, match="csn has no attention"):
        look(encoder("csn"), PIXELS)


def test_overlay_colours_the_highest_place() -> None:
    grey = np.full((40, 30, 3), 100, np.uint8)
    attention = np.zeros((4, 3), np.float32)
    attention[1, 2] = 1
    result = np.asarray(overlay(grey, attention)).astype(int)
    assert result.shape == grey.shape
    coloured = np.abs(result - 100).sum(-1)
    assert np.unravel_index(coloured.argmax(), coloured.shape) == pytest.approx((15, 27), abs=4)
    assert not coloured[25:, :10].any()
    assert (np.asarray(overlay(grey, np.full((4, 3), 0.25, np.float32))) == 100).all()


def test_the_command_draws_and_saves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path / "checkpoint", encoder("m3net"), ImagePreparation(64, 48))
    Image.fromarray(PIXELS).save(tmp_path / "dress.png")
    common = ["--checkpoint", str(tmp_path / "checkpoint"), "--out", str(tmp_path / "out")]
    assert main([str(tmp_path / "dress.png"), *common]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "dress.png")
    with Image.open(tmp_path / "out" / "dress.png") as image:
        assert image.width > 600 and len(image.convert("RGB").getcolors(10**6) or ()) > 100
    seen = look(encoder("m3net"), PIXELS)
    saved = load_file(tmp_path / "out" / "dress.safetensors")
    assert set(saved) == {*seen.attributes, *(f"{a}: {c}" for a, c in seen.classes)}
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    for wrong, told in (
        ("broken.jpg", "broken.jpg"),
        ("nowhere.png", "nowhere.png: No such file"),
    ):
        assert _fails([str(tmp_path / wrong), *common], capsys).count(told) == 1
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(PIXELS).save(other / "dress.jpg")
    assert "'dress'" in _fails([str(tmp_path / "dress.png"), str(other / "dress.jpg"), *common], capsys)


def test_the_command_draws_items_of_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path / "checkpoint", encoder("m3net"), ImagePreparation(64, 48))
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    stream.seek(0)
    table = pa.table(
        {"item_id": ["a/1", "b", "broken"], "image": [stream.getvalue(), stream.getvalue(), b"no picture"]}
    )
    pq.write_table(table, tmp_path / "items.parquet")
    common = ["--checkpoint", str(tmp_path / "checkpoint"), "--out", str(tmp_path / "out")]
    items = ["--manifest", str(tmp_path / "items.parquet"), "--item"]
    assert main([*items, "a/1", *common]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "a%2F1.png")
    saved = load_file(tmp_path / "out" / "a%2F1.safetensors")
    assert set(saved) >= set(look(encoder("m3net"), PIXELS).attributes)
    for wrong, told in (
        ([*items, "c"], "item 'c' is not in the manifest"),
        ([*items, "broken"], "broken: "),
        (["--item", "b"], "--item needs the --manifest"),
        ([], "name pictures, or a --manifest and --item"),
    ):
        assert told in _fails([*wrong, *common], capsys)


def test_a_figure_has_a_cell_for_everything() -> None:
    with Image.open(io.BytesIO(draw_look(PIXELS, look(encoder("m3net"), PIXELS)))) as image:
        assert image.format == "PNG"


def _fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err
