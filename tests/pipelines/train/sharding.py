"""The same global batch on more workers, in processes of their own and in float64.

Float32's rounding tips a ReLU or a hinge now and then, and that moves weights by more than rounding.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp

from pipelines.train.distributed import World
from pipelines.train.settings import TrainSettings

from .double import compute_in_float64
from .runs import trainer_of


def check_sharding(runs: Mapping[str, TrainSettings], folder: Path, sizes: tuple[int, ...]) -> None:
    """Train each on every number of workers; gradients, weights, buffers and losses must be those of the first.

    The processes of one number train all of them in turn: starting them takes longer than that.
    """
    for size in sizes:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        sized = {}
        for name, settings in runs.items():
            sized[name] = settings.model_copy(update={"out": folder / name / str(size), "workers": size})
            sized[name].out.mkdir(parents=True)
        mp.spawn(_train, (size, sized, port), nprocs=size)
    for name in runs:
        _check([folder / name / str(size) for size in sizes], name)


def _check(outs: list[Path], run: str) -> None:
    ends = [torch.load(out / "end.pt", weights_only=True) for out in outs]
    losses = [json.loads((out / "metrics.jsonl").read_text().splitlines()[-1]) for out in outs]
    alone, *sharded = ends
    assert alone["moved"].dtype == torch.float64 and alone["moved"].norm() > 0, run
    for end in sharded:
        for name in ("gradients", "moved"):
            assert (end[name] - alone[name]).norm() < 1e-9 * alone[name].norm(), f"{run}: {name}"
        for name, buffer in alone["buffers"].items():  # the norms' statistics, the prototypes and centres
            torch.testing.assert_close(end["buffers"][name], buffer, rtol=1e-9, atol=1e-12, msg=f"{run}: {name}")
    for loss in losses[1:]:
        for name in (name for name in loss if name.startswith("loss")):
            assert loss[name] == pytest.approx(losses[0][name], rel=1e-9, abs=1e-12), f"{run}: {name}"


def _train(rank: int, size: int, runs: Mapping[str, TrainSettings], port: int) -> None:
    """One worker of all runs, in a process of its own."""
    compute_in_float64()
    torch.set_num_threads(1)
    if size > 1:
        torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
    for settings in runs.values():
        _train_one(settings, World(rank, size))
    if size > 1:
        torch.distributed.destroy_process_group()


def _train_one(settings: TrainSettings, world: World) -> None:
    """The first worker saves what it ends with."""
    trainer = trainer_of(settings, world)
    before = [parameter.clone() for parameter in trainer.step.parameters()]
    trainer.run()
    if world.rank == 0:
        moved = [after - start for after, start in zip(trainer.step.parameters(), before, strict=True)]
        gradients = [state["exp_avg"] for state in trainer.optimizer.state.values()]  # Adam's average of them
        torch.save(
            {
                "moved": torch.cat([part.detach().flatten() for part in moved]),
                "gradients": torch.cat([part.flatten() for part in gradients]),
                "buffers": dict(trainer.step.named_buffers()),
            },
            settings.out / "end.pt",
        )
