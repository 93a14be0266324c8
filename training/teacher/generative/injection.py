"""Injection (BIGRec): what training interactions say, told to a teacher that only knows titles."""

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
from training.settings.teacher import TeacherConfig
from training.teacher.budget import held_out_rows
from training.teacher.top_k import Distances, figures_of

EXPONENTS = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
NUM_JUDGING = 2_000  # examples that every pair of exponents is tried on


@dataclass(frozen=True)
class Exponents:
    """How strongly each signal is injected; 0 leaves it out."""

    popularity: float = 0.0
    transitions: float = 0.0

    def any(self) -> bool:
        """Whether a signal is injected at all."""
        return self != Exponents()


def injected(distances: Tensor, signals: Iterable[tuple[Tensor, float]]) -> Tensor:
    """`(D - min) / (max - min) * Π (1 + W) ** -exponent` over the items of each line.

    Args:
        distances: `[lines, catalog rows]`, D.
        signals: W in [0, 1], `[lines, catalog rows]` or `[catalog rows]`, each with its
            exponent.
    """
    items = distances[:, PADDING_INDEX + 1 :]
    least, most = items.amin(dim=1, keepdim=True), items.amax(dim=1, keepdim=True)
    nearness = (distances - least).clamp_min(0) / (most - least).clamp_min(1e-12)
    for weight, exponent in signals:
        nearness = nearness * (1 + weight) ** -exponent
    return nearness


class Signals:
    """What training interactions say about items, to be injected into a teacher's distances."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        rows = dataset.example_rows(Split.TRAIN)
        order = np.argsort(dataset.item_indices[rows - 1], kind="stable")
        self._firsts = dataset.item_indices[rows - 1][order]
        self._nexts = dataset.item_indices[rows][order]

    @cached_property
    def popularity(self) -> Tensor:
        """`[catalog rows]`: training interactions of each item, the most popular at 1."""
        counts = torch.from_numpy(self._dataset.train_counts()).float()
        return counts / counts.max().clamp_min(1)

    def transitions(self, last_items: NDArray[np.integer]) -> Tensor:
        """`[lines, catalog rows]`: how often items followed the last, the most frequent at 1."""
        return _at_most_one(self._followers(last_items))

    def transitions_before(self, rows: NDArray[np.int64]) -> Tensor:
        """The same for examples; one of training does not count itself, or it would be told."""
        counts = self._followers(self._dataset.item_indices[rows - 1])
        own = torch.from_numpy((self._dataset.splits[rows] == Split.TRAIN).astype(np.float32))
        next_items = torch.from_numpy(self._dataset.item_indices[rows].astype(np.int64))
        return _at_most_one(counts.scatter_add(1, next_items[:, None], -own[:, None]))

    def _followers(self, last_items: NDArray[np.integer]) -> Tensor:
        counts = np.zeros((len(last_items), self._dataset.catalog.num_rows), dtype=np.float32)
        begins = np.searchsorted(self._firsts, last_items, side="left")
        ends = np.searchsorted(self._firsts, last_items, side="right")
        for line, begin, end in zip(counts, begins, ends, strict=True):
            np.add.at(line, self._nexts[begin:end], 1)
        return torch.from_numpy(counts)


def _at_most_one(counts: Tensor) -> Tensor:
    return counts / counts.amax(dim=1, keepdim=True).clamp_min(1)


def with_signals(distances: Distances, signals: Signals, exponents: Exponents) -> Distances:
    """`distances` with what is to be injected; the same as they are if nothing is."""
    if not exponents.any():
        return distances

    def of(rows: NDArray[np.int64]) -> Tensor:
        weighed = [(signals.popularity, exponents.popularity)]
        if exponents.transitions:
            weighed.append((signals.transitions_before(rows), exponents.transitions))
        return injected(distances(rows), weighed)

    return of


def choose_exponents(
    distances: Distances, signals: Signals, dataset: Dataset, config: TeacherConfig
) -> Exponents:
    """Those with the best NDCG@20 on some of validation; 0 for what is not to be injected."""
    rows = held_out_rows(dataset, config, Split.VALIDATION, at_most=NUM_JUDGING)
    off = (0.0,)
    grid = product(
        EXPONENTS if config.writing.inject_popularity else off,
        EXPONENTS if config.writing.inject_transitions else off,
    )

    def figure(exponents: Exponents) -> float:
        return figures_of(with_signals(distances, signals, exponents), dataset, rows)[
            SELECTION_METRIC
        ]

    candidates = [Exponents(*pair) for pair in grid]
    return max(candidates, key=figure) if len(candidates) > 1 else candidates[0]
