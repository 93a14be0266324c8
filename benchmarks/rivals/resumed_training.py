"""Stores the progress of a training in a file, so that a training that was stopped goes on from it.

`rectools_ranker` imports it in RecTools' environment, so it needs nothing but NumPy and torch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

Facts = Mapping[str, Any]
Weights = Mapping[str, Tensor]


@dataclass
class Progress:
    """The progress of a training.

    Attributes:
        epoch: number of finished epochs.
        best_epoch: number of the best epoch, from 1; 0 before the first one ends.
        best: validation NDCG@20 of the best epoch.
        seconds: training time, of earlier runs too.
        weights: weights after the best epoch, by name.
    """

    epoch: int = 0
    best_epoch: int = 0
    best: float = -1.0
    seconds: float = 0.0
    weights: Weights = field(default_factory=dict)

    @property
    def numbers(self) -> Facts:
        """All attributes but the weights, by name."""
        return {name: value for name, value in vars(self).items() if name != "weights"}


def save_progress(
    path: Path, facts: Facts, progress: Progress, module: nn.Module, optimiser: Optimizer
) -> None:
    """Writes the progress to a temporary name, then renames it to `path`.

    Args:
        path: an `.npz` file; one that is there is replaced.
        facts: whatever decides how the training goes, as JSON can hold it.
        progress: the progress.
        module: the model that is trained.
        optimiser: its optimiser, for instance Adam; its state has tensors and numbers only.
    """
    moments = {
        f"{number}/{name}": value
        for number, each in optimiser.state_dict()["state"].items()
        for name, value in each.items()
    }
    arrays = {
        "facts": np.array(json.dumps([facts, progress.numbers])),
        **_named("module", module.state_dict()),
        **_named("best", progress.weights),
        **_named("optimiser", moments),
    }
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    unfinished.replace(path)


def load_progress(path: Path, facts: Facts, module: nn.Module, optimiser: Optimizer) -> Progress:
    """Reads the progress, and gives `module` and `optimiser` the state that they had.

    Without a file, or with one of other facts, it returns that of a new training and changes
    nothing. The arguments are those of `save_progress`; the settings of `optimiser` stay.
    """
    if not path.exists():
        return Progress()
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        stored, numbers = json.loads(str(arrays["facts"]))
        if stored != json.loads(json.dumps(facts)):
            return Progress()
        tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files if "/" in name}
    module.load_state_dict(_below("module", tensors))
    state: dict[int, dict[str, Tensor]] = {}
    for name, each in _below("optimiser", tensors).items():
        number, _, kind = name.partition("/")
        state.setdefault(int(number), {})[kind] = each
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    return Progress(**numbers, weights=_below("best", tensors))


def _named(group: str, values: Mapping[str, Any]) -> Mapping[str, NDArray[Any]]:
    return {f"{group}/{name}": torch.as_tensor(each).cpu().numpy() for name, each in values.items()}


def _below(group: str, tensors: Weights) -> dict[str, Tensor]:
    """Returns the tensors of a group, by their names in it."""
    begin = f"{group}/"
    return {name[len(begin) :]: each for name, each in tensors.items() if name.startswith(begin)}
