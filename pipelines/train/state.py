"""Training state: everything that a resumed run needs to end with the weights of an unbroken one.

A folder of safetensors and JSON, like a checkpoint; nothing in it is unpickled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.errors import CheckpointError

from .step import TrainingStep


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epoch: epochs that are finished.
        best: highest validation MAP@all of the current stage so far, and its epoch.
        history: one entry per finished epoch.
    """

    epoch: int = 0
    best: float = -1.0
    best_epoch: int = -1
    history: list[dict[str, Any]] = field(default_factory=list)


def save_state(
    folder: Path,
    step: TrainingStep,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    progress: Progress,
    identity: dict[str, Any],
) -> None:
    """Write weights, moving average, prototypes, optimiser and progress into ``folder``.

    There is no random state: everything random is drawn from (seed, epoch, step).
    """
    tensors = {f"model/{name}": tensor for name, tensor in step.state_dict().items()}
    tensors |= {f"average/{name}": tensor for name, tensor in average.items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{name}": torch.as_tensor(value) for name, value in values.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}, folder / "state.safetensors"
    )
    (folder / "state.json").write_text(json.dumps({"progress": vars(progress), "identity": identity}), encoding="utf-8")


def load_state(
    folder: Path,
    step: TrainingStep,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    identity: dict[str, Any],
) -> Progress:
    """Restore what `save_state` wrote, in place.

    Raises:
        CheckpointError: the state belongs to a run with other settings or items; names them.
    """
    about = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    changed = sorted(k for k in identity if about["identity"].get(k) != identity[k])
    if changed:
        raise CheckpointError(
            f"the run in {folder} had other settings ({', '.join(changed)}): give another --out, or the same settings"
        )
    tensors = load_file(folder / "state.safetensors")
    step.load_state_dict({name[6:]: t for name, t in tensors.items() if name.startswith("model/")})
    for name, tensor in average.items():
        tensor.copy_(tensors[f"average/{name}"])
    state = optimizer.state_dict()
    state["state"] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, number, key = name.split("/")
            # The fused optimiser walks parameter and moments in memory order, which must be the same.
            parameter = parameters[int(number)]
            moment = tensor if tensor.dim() != parameter.dim() else torch.empty_like(parameter).copy_(tensor)
            state["state"].setdefault(int(number), {})[key] = moment.detach()
    optimizer.load_state_dict(state)
    return Progress(**about["progress"])
