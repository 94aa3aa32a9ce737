"""The same global batch on more workers, in processes of their own and in float64.

Float32's rounding tips a ReLU or a hinge now and then, and that moves weights by more than rounding.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp

from pipelines.train.distributed import World
from pipelines.train.settings import TrainSettings

from .double import compute_in_float64
from .runs import trainer_of


def check_sharding(settings: TrainSettings, folder: Path, sizes: tuple[int, ...]) -> None:
    """Train on each number of workers; gradients, weights, buffers and losses must be those of the first."""
    ends, losses = [], []
    for size in sizes:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        own = settings.model_copy(update={"out": folder / str(size), "workers": size})
        own.out.mkdir()
        mp.spawn(_train, (size, own, port, folder / f"{size}.pt"), nprocs=size)
        ends.append(torch.load(folder / f"{size}.pt", weights_only=True))
        losses.append(json.loads((own.out / "metrics.jsonl").read_text().splitlines()[-1]))
    alone, *sharded = ends
    assert alone["moved"].dtype == torch.float64 and alone["moved"].norm() > 0
    for end in sharded:
        for name in ("gradients", "moved"):
            assert (end[name] - alone[name]).norm() < 1e-9 * alone[name].norm()
        for name, buffer in alone["buffers"].items():  # the norms' statistics, the prototypes and centres
            torch.testing.assert_close(end["buffers"][name], buffer, rtol=1e-9, atol=1e-12, msg=name)
    for loss in losses[1:]:
        for name in (name for name in loss if name.startswith("loss")):
            assert loss[name] == pytest.approx(losses[0][name], rel=1e-9, abs=1e-12)


def _train(rank: int, size: int, settings: TrainSettings, port: int, result: Path) -> None:
    """One worker, in a process of its own; the first saves what it ends with."""
    compute_in_float64()
    torch.set_num_threads(1)
    if size > 1:
        torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
    trainer = trainer_of(settings, World(rank, size))
    before = [parameter.clone() for parameter in trainer.step.parameters()]
    trainer.run()
    if rank == 0:
        moved = [after - start for after, start in zip(trainer.step.parameters(), before, strict=True)]
        gradients = [state["exp_avg"] for state in trainer.optimizer.state.values()]  # Adam's average of them
        torch.save(
            {
                "moved": torch.cat([part.detach().flatten() for part in moved]),
                "gradients": torch.cat([part.flatten() for part in gradients]),
                "buffers": dict(trainer.step.named_buffers()),
            },
            result,
        )
    if size > 1:
        torch.distributed.destroy_process_group()
