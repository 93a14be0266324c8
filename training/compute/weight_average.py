"""The moving average of a student's weights.

The weights of Adam go on moving around an optimum. Their average over many steps lies nearer to it,
and costs nothing when the student is served (Polyak and Juditsky, 1992).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Parameter


class WeightAverage:
    """Exponential moving average of weights.

    Attributes:
        weights: the average of each weight, which starts at its first value.

    Args:
        parameters: the weights that the optimiser changes.
        epochs: number of epochs that the average spans: a step counts 1/e of what it did as long
            ago.
    """

    def __init__(self, parameters: Sequence[Parameter], epochs: float) -> None:
        self.weights: Sequence[Tensor] = [each.detach().clone() for each in parameters]
        self._parameters = parameters
        self._epochs = epochs

    def include(self, num_steps: int) -> None:
        """Moves the average towards the weights of the latest step.

        Of an epoch of `num_steps`, each step has the share `1 / (epochs * num_steps)`, at most 1.
        """
        share = min(1.0, 1 / (self._epochs * num_steps))
        for average, weight in zip(self.weights, self._parameters, strict=True):
            average.lerp_(weight.detach(), share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Puts the average in the place of the weights; afterwards the weights are back."""
        trained = [each.detach().clone() for each in self._parameters]
        _copy(self.weights, self._parameters)
        try:
            yield
        finally:
            _copy(trained, self._parameters)

    def load(self, weights: Sequence[Tensor]) -> None:
        """Takes over an average that was saved, in the order of `weights`."""
        _copy(weights, self.weights)


def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for source, target in zip(sources, targets, strict=True):
            target.copy_(source)
