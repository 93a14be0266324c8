"""The optimiser of a student: AdamW, and optionally Adam on the touched rows of a large table.

AdamW updates every weight in every step. A step that reads a thousand of a million item vectors
then spends most of its time on the others, whose gradients are zero. Adam on touched rows updates
only the rows that have a gradient; the moments of other rows stay as they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch.nn import Parameter


class Optimiser(Protocol):
    """Interface of an optimiser, as torch's optimisers implement it."""

    def zero_grad(self) -> None:
        """Forgets the gradients of the last step."""
        ...

    def step(self) -> object:
        """Changes the weights by their gradients."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Returns moments and settings, to save them."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        ...


class RowwiseOptimiser:
    """AdamW for all weights but one table, and Adam on the touched rows of that table.

    Args:
        table: the table, `[rows, columns]`, whose gradients are sparse.
        others: all other weights.
        learning_rate: learning rate of both.
        weight_decay: weight decay of `others`; the table has none.
    """

    def __init__(
        self,
        table: Parameter,
        others: Iterable[Parameter],
        learning_rate: float,
        weight_decay: float = 0.0,
    ) -> None:
        self.parts: Mapping[str, torch.optim.Optimizer] = {
            "rows": torch.optim.SparseAdam([table], lr=learning_rate),
            "others": _adamw(list(others), learning_rate, weight_decay),
        }

    def zero_grad(self) -> None:
        """Implements `Optimiser.zero_grad`."""
        for part in self.parts.values():
            part.zero_grad()

    def step(self) -> None:
        """Implements `Optimiser.step`."""
        for part in self.parts.values():
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Implements `Optimiser.state_dict`."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Implements `Optimiser.load_state_dict`."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


def optimiser_of(
    parameters: Sequence[Parameter],
    learning_rate: float,
    weight_decay: float,
    table: Parameter | None = None,
) -> Optimiser:
    """Makes the optimiser of `parameters`: AdamW, or by rows for `table` if it is given.

    `table` is one of `parameters`; a table that is not trained is left alone.
    """
    if table is None or not table.requires_grad:
        return _adamw(parameters, learning_rate, weight_decay)
    others = [each for each in parameters if each is not table]
    return RowwiseOptimiser(table, others, learning_rate, weight_decay)


def _adamw(
    parameters: Sequence[Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)
