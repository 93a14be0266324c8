"""Injection (BIGRec): adds statistics of training interactions to a teacher's title distances."""

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

EXPONENTS = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
NUM_VALIDATION_EXAMPLES = 2_000  # that every pair of exponents is evaluated on


@dataclass(frozen=True)
class Exponents:
    """Strength of each injected signal; 0 leaves it out."""

    popularity: float = 0.0
    transitions: float = 0.0

    def any(self) -> bool:
        """Whether a signal is injected at all."""
        return self != Exponents()


def injected(distances: Tensor, signals: Iterable[tuple[Tensor, float]]) -> Tensor:
    """Returns `(D - min) / (max - min) * Π (1 + W) ** -exponent` over the items of each line.

    Args:
        distances: `[lines, catalog rows]`, D.
        signals: pairs of W in [0, 1], `[lines, catalog rows]` or `[catalog rows]`, and its
            exponent.
    """
    items = distances[:, PADDING_INDEX + 1 :]
    least, most = items.amin(dim=1, keepdim=True), items.amax(dim=1, keepdim=True)
    scaled = (distances - least).clamp_min(0) / (most - least).clamp_min(1e-12)
    for weight, exponent in signals:
        scaled = scaled * (1 + weight) ** -exponent
    return scaled


class Signals:
    """Statistics of training interactions that are injected: popularity and transitions."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        rows = dataset.example_rows(Split.TRAIN)
        order = np.argsort(dataset.item_indices[rows - 1], kind="stable")
        self._previous_items = dataset.item_indices[rows - 1][order]
        self._next_items = dataset.item_indices[rows][order]

    @cached_property
    def popularity(self) -> Tensor:
        """Training interactions of each item over those of the most popular, `[catalog rows]`."""
        counts = torch.from_numpy(self._dataset.train_counts()).float()
        return counts / counts.max().clamp_min(1)

    def transitions(self, last_items: NDArray[np.integer]) -> Tensor:
        """Counts how often each item followed the last one, over the most frequent follower.

        Args:
            last_items: `[lines]`.

        Returns:
            `[lines, catalog rows]`, in [0, 1].
        """
        return _at_most_one(self._followers(last_items))

    def transitions_before(self, rows: NDArray[np.int64]) -> Tensor:
        """Returns `transitions` for examples; a training example does not count itself."""
        counts = self._followers(self._dataset.item_indices[rows - 1])
        is_train = torch.from_numpy((self._dataset.splits[rows] == Split.TRAIN).astype(np.float32))
        next_items = torch.from_numpy(self._dataset.item_indices[rows].astype(np.int64))
        return _at_most_one(counts.scatter_add(1, next_items[:, None], -is_train[:, None]))

    def _followers(self, last_items: NDArray[np.integer]) -> Tensor:
        counts = np.zeros((len(last_items), self._dataset.catalog.num_rows), dtype=np.float32)
        begins = np.searchsorted(self._previous_items, last_items, side="left")
        ends = np.searchsorted(self._previous_items, last_items, side="right")
        for line, begin, end in zip(counts, begins, ends, strict=True):
            np.add.at(line, self._next_items[begin:end], 1)
        return torch.from_numpy(counts)


def _at_most_one(counts: Tensor) -> Tensor:
    return counts / counts.amax(dim=1, keepdim=True).clamp_min(1)


def with_signals(distances: Distances, signals: Signals, exponents: Exponents) -> Distances:
    """Injects `signals` into `distances`; without exponents returns `distances` itself."""
    if not exponents.any():
        return distances

    def distances_with_signals(rows: NDArray[np.int64]) -> Tensor:
        weighted = [(signals.popularity, exponents.popularity)]
        if exponents.transitions:
            weighted.append((signals.transitions_before(rows), exponents.transitions))
        return injected(distances(rows), weighted)

    return distances_with_signals


def choose_exponents(
    distances: Distances, signals: Signals, dataset: Dataset, config: TeacherConfig
) -> Exponents:
    """Chooses exponents by NDCG@20 on validation examples; 0 for a signal that is switched off."""
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
