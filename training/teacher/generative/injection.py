"""Injection (BIGRec): lowers the distances of items that are popular or often follow the last item.

These two signals, popularity and transitions, are counted over training interactions. The distances
of a generative teacher are divided by powers of 1 + signal.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.catalog import PADDING_INDEX
from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import SELECTION_METRIC
from training.progress import ProgressBar
from training.settings.teacher import TeacherConfig
from training.teacher.budget import held_out_rows
from training.teacher.top_k import Distances, teacher_metrics

EXPONENTS = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # exponents to try for each signal
# Maximum number of validation examples that every pair of exponents is evaluated on.
NUM_VALIDATION_EXAMPLES = 2_000


@dataclass(frozen=True)
class Exponents:
    """Exponents of the two injected signals, popularity and transitions.

    A larger exponent lowers distances more; 0 switches the signal off.
    """

    popularity: float = 0.0
    transitions: float = 0.0

    def any(self) -> bool:
        """Returns whether at least one exponent is not 0."""
        return self != Exponents()


def injected(distances: Tensor, signals: Iterable[tuple[Tensor, float]]) -> Tensor:
    """Scales the distances of each history to [0, 1] and lowers them for items with strong signals.

    The result is `(D - min) / (max - min) * Π (1 + W) ** -exponent`. Minimum and maximum are taken
    over all items, for each history.

    Args:
        distances: D, `[histories, catalog rows]`.
        signals: pairs of a signal W in [0, 1] and its exponent. W is `[histories, catalog rows]`,
            or `[catalog rows]` if it is the same for all histories.

    Returns:
        `[histories, catalog rows]`; column 0, the padding, is meaningless.
    """
    items = distances[:, PADDING_INDEX + 1 :]
    minimum, maximum = items.amin(dim=1, keepdim=True), items.amax(dim=1, keepdim=True)
    scaled = (distances - minimum).clamp_min(0) / (maximum - minimum).clamp_min(1e-12)
    for signal, exponent in signals:
        scaled = scaled * (1 + signal) ** -exponent
    return scaled


class InjectedSignals:
    """Computes the signals to inject, popularity and transitions, from training interactions."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        rows = dataset.example_rows(Split.TRAIN)
        order = np.argsort(dataset.item_indices[rows - 1], kind="stable")
        self._previous_items = dataset.item_indices[rows - 1][order]
        self._next_items = dataset.item_indices[rows][order]

    @cached_property
    def popularity(self) -> Tensor:
        """Number of training interactions of each item, divided by the largest of these numbers.

        The shape is `[catalog rows]`, and values are in [0, 1].
        """
        counts = torch.from_numpy(self._dataset.train_counts()).float()
        return counts / counts.max().clamp_min(1)

    def transitions(self, last_items: NDArray[np.integer]) -> Tensor:
        """Computes how often each item followed the last item of a history in training.

        Each history's counts are divided by the largest of them.

        Args:
            last_items: `[histories]`, item index of the last item of each history.

        Returns:
            `[histories, catalog rows]`, in [0, 1].
        """
        return _divided_by_largest(self._follower_counts(last_items))

    def transitions_before(self, rows: NDArray[np.int64]) -> Tensor:
        """Computes `transitions` for the histories of examples, `[rows, catalog rows]`.

        `rows` are the dataset rows of the next items. For a training example, its own transition to
        the next item is not counted, since that is the answer.
        """
        counts = self._follower_counts(self._dataset.item_indices[rows - 1])
        is_train = torch.from_numpy((self._dataset.splits[rows] == Split.TRAIN).astype(np.float32))
        next_items = torch.from_numpy(self._dataset.item_indices[rows].astype(np.int64))
        return _divided_by_largest(counts.scatter_add(1, next_items[:, None], -is_train[:, None]))

    def _follower_counts(self, last_items: NDArray[np.integer]) -> Tensor:
        counts = np.zeros((len(last_items), self._dataset.catalog.num_rows), dtype=np.float32)
        begins = np.searchsorted(self._previous_items, last_items, side="left")
        ends = np.searchsorted(self._previous_items, last_items, side="right")
        for row, begin, end in zip(counts, begins, ends, strict=True):
            np.add.at(row, self._next_items[begin:end], 1)
        return torch.from_numpy(counts)


def _divided_by_largest(counts: Tensor) -> Tensor:
    return counts / counts.amax(dim=1, keepdim=True).clamp_min(1)


def with_signals(distances: Distances, signals: InjectedSignals, exponents: Exponents) -> Distances:
    """Returns a function that computes `distances` and injects `signals` into the result.

    If all exponents are 0, `distances` itself is returned.
    """
    if not exponents.any():
        return distances

    def distances_with_signals(rows: NDArray[np.int64]) -> Tensor:
        weighted = [(signals.popularity, exponents.popularity)]
        if exponents.transitions:
            weighted.append((signals.transitions_before(rows), exponents.transitions))
        return injected(distances(rows), weighted)

    return distances_with_signals


def choose_exponents(
    distances: Distances, signals: InjectedSignals, dataset: Dataset, config: TeacherConfig
) -> Exponents:
    """Chooses the exponents of popularity and transitions that give the best validation NDCG@20.

    The teacher's distances are divided by powers of 1 + signal, for these two signals. The pairs
    of `EXPONENTS` are tried in order, and a tie goes to the first. A signal that `config.writing`
    switches off gets exponent 0. `distances` are those before the division.
    """
    rows = held_out_rows(dataset, config, Split.VALIDATION, at_most=NUM_VALIDATION_EXAMPLES)
    off = (0.0,)
    grid = product(
        EXPONENTS if config.writing.inject_popularity else off,
        EXPONENTS if config.writing.inject_transitions else off,
    )

    candidates = [Exponents(*pair) for pair in grid]
    if len(candidates) == 1:
        return candidates[0]
    with ProgressBar("choosing exponents", len(candidates) * len(rows), "example") as bar:

        def metric(exponents: Exponents) -> float:
            injected_distances = with_signals(distances, signals, exponents)
            metrics = teacher_metrics(injected_distances, dataset, rows, bar.advance)
            return metrics[SELECTION_METRIC]

        return max(candidates, key=metric)
