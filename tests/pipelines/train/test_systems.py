"""Every system through the one trainer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from model.checkpoint import load_checkpoint
from model.systems import SYSTEMS
from pipelines.data.item_store import ItemStore
from pipelines.data.manifest import Manifest
from pipelines.evaluate.embedded import embed
from pipelines.evaluate.manipulation import evaluate_manipulation
from pipelines.evaluate.retrieval import evaluate_retrieval
from pipelines.train.distributed import World
from pipelines.train.finish import finish
from pipelines.train.settings import EncoderSection, ObjectiveSection, TrainSettings
from pipelines.train.systems import main

from .runs import settings_of, trainer_of
from .shapes import write_shapes
from .sharding import check_sharding

SHARDED = {"csn": ["original"], "asen_pp": [], "agman": [], "modc": [], "fashionsearchnet": []}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes.parquet", 80)


@pytest.mark.parametrize("system", SYSTEMS)
def test_trains_finishes_and_is_evaluated(system: str, manifest: Path, tmp_path: Path) -> None:
    settings = settings_of(manifest, tmp_path, encoder={"system": system})
    trainer = trainer_of(settings, World())
    before = {name: parameter.detach().clone() for name, parameter in trainer.encoder.named_parameters()}
    progress = trainer.run()
    moved = {name.split(".")[0] for name, p in trainer.encoder.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name.split(".")[0] for name in before}
    assert all(0 < entry["map"] <= 1 for entry in progress.history)
    assert {f"loss_{name}" for name in trainer.step.objective.names} < progress.history[-1].keys()
    checkpoint = load_checkpoint(finish(settings, trainer.training, World(), {}))
    assert checkpoint.prototypes is not None and checkpoint.head is not None
    opened = Manifest.labelled([str(manifest)], checkpoint.taxonomy)
    store = ItemStore.open(opened, checkpoint.taxonomy, split="val", cache=manifest.parent / "cache")
    embedded = embed(checkpoint, checkpoint.preparation, store)
    assert 0 < evaluate_retrieval(embedded).overall.map <= 1
    assert evaluate_manipulation(embedded, checkpoint.head).single_mean is not None


@pytest.mark.parametrize("system", ["asen_pp", "fashionsearchnet"])
def test_stages_resume_where_they_were(system: str, manifest: Path, tmp_path: Path) -> None:
    settings = settings_of(manifest, tmp_path / "unbroken", epochs=3, encoder={"system": system})
    unbroken = trainer_of(settings, World(), tmp_path / "states")
    unbroken.run()
    assert unbroken.encoder.stage == 1
    resumed = trainer_of(settings.model_copy(update={"out": tmp_path / "states"}), World())
    resumed.restore(tmp_path / "states" / "1")
    resumed.run()
    for name, tensor in unbroken.step.state_dict().items():
        assert torch.equal(resumed.step.state_dict()[name], tensor), name


@pytest.mark.slow
def test_more_workers_give_the_same_weights(manifest: Path, tmp_path: Path) -> None:
    runs = {
        system: settings_of(manifest, tmp_path, epochs=2, encoder={"system": system, "switches": switches})
        for system, switches in SHARDED.items()
    }
    check_sharding(runs, tmp_path, sizes=(1, 2))


def test_losses_are_the_systems_own_unless_given(tmp_path: Path) -> None:
    def settings(**changes: object) -> TrainSettings:
        return TrainSettings(manifest=["x.parquet"], out=tmp_path, **changes)  # type: ignore[arg-type]

    assert (settings().encoder.system, settings().objective.instance) == ("posterior", 0.2)
    assert settings(encoder={"system": "m3net"}).objective == ObjectiveSection(
        classification=1, prototype=1, instance=1, margin=0.4, positive_weight=1, smoothing=0, momentum=0.9
    )
    asen = settings(encoder={"system": "asen"}, objective={"margin": 0.3}).objective
    assert (asen.classification, asen.prototype, asen.instance, asen.margin) == (0, 0, 1, 0.3)
    saved = json.loads(settings(encoder={"system": "asen"}).model_dump_json())
    assert TrainSettings(**saved) == settings(encoder={"system": "asen"})


def test_a_wrong_system_or_switch_is_told() -> None:
    for wrong, told in (({"system": "asn"}, "asen_pp"), ({"system": "csn", "switches": ["fix"]}, "disjoint")):
        with pytest.raises(ValidationError, match=told):
            EncoderSection(**wrong)  # type: ignore[arg-type]


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [system["name"] for system in told] == list(SYSTEMS)
    assert set(told[list(SYSTEMS).index("asen")]["switches"]) == {"without_spatial", "without_channel"}
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in SYSTEMS)
