"""The worked example of docs/systems.md is a system like the others."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch

from model.systems import SYSTEMS
from pipelines.train.distributed import World
from tests.pipelines.train.runs import settings_of, trainer_of
from tests.pipelines.train.shapes import write_shapes

from . import test_systems as contract

ROOT = Path(__file__).resolve().parents[3]
NAME = "power_mean"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The document's block as a module beside the others, and its line in the registry."""
    text = (ROOT / "docs" / "systems.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^<!-- test system -->\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    path = tmp_path / f"{NAME}.py"
    path.write_text(block, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"model.systems.{NAME}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setitem(SYSTEMS, NAME, module.POWER_MEAN)
    return NAME


def test_holds_what_every_system_holds(example: str, tmp_path: Path) -> None:
    contract.test_one_pass_gives_all_attributes(example)
    contract.test_batch_of_one_equals_batch_of_many(example)
    contract.test_the_losses_reach_every_parameter(example, 0)
    contract.test_checkpoint_round_trip(example, tmp_path)


def test_trains(example: str, tmp_path: Path) -> None:
    manifest = write_shapes(tmp_path / "shapes.parquet", 80)
    trainer = trainer_of(settings_of(manifest, tmp_path, encoder={"system": example}), World())
    start = trainer.encoder.get_parameter("power").detach().clone()
    assert trainer.run().history[-1]["map"] > 0
    assert not torch.equal(trainer.encoder.get_parameter("power"), start)
