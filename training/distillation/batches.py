"""Training windows: each user's interactions cut into pieces that predict every item once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset, Split

NO_ROW = -1


@dataclass(frozen=True)
class Batch:
    """Left-padded windows.

    Attributes:
        histories: `[batch, length]`, the items that are read.
        next_items: `[batch, length]`, the item to predict after each; padding if there is none.
        next_rows: `[batch, length]`, the dataset row of that item; `NO_ROW` if there is none.
    """

    histories: Tensor
    next_items: Tensor
    next_rows: Tensor

    @property
    def is_predicted(self) -> Tensor:
        """`[batch, length]`, whether an item is predicted."""
        return self.next_items != 0

    @property
    def num_predicted(self) -> int:
        """Number of predicted items."""
        return int(self.is_predicted.sum())

    def by_length(self, num_parts: int) -> Iterator["Batch"]:
        """Splits the windows into at most `num_parts` parts of similar lengths.

        Each part is padded to its own longest window. Most windows are far shorter than the
        longest one, so most of an unsplit batch is padding.
        """
        lengths = (self.histories != 0).sum(dim=1)
        for part in lengths.argsort(stable=True).tensor_split(min(num_parts, len(lengths))):
            longest = int(lengths[part[-1]])
            yield Batch(
                self.histories[part, -longest:],
                self.next_items[part, -longest:],
                self.next_rows[part, -longest:],
            )

    def part(self, rank: int, num_ranks: int) -> "Batch":
        """Every `num_ranks`-th window, starting at window `rank`."""
        return Batch(
            self.histories[rank::num_ranks],
            self.next_items[rank::num_ranks],
            self.next_rows[rank::num_ranks],
        )

    def to(self, device: torch.device) -> "Batch":
        """Copies the batch to `device`."""
        return Batch(
            self.histories.to(device), self.next_items.to(device), self.next_rows.to(device)
        )


class TrainingWindows:
    """All windows of a dataset; each epoch cuts and shuffles them again, by seed and epoch.

    A user's rows up to the last TRAIN row are read. Every TRAIN row with an earlier row is
    predicted exactly once in an epoch. HISTORY rows are read, never predicted.

    Attributes:
        readable: rows that are read.
        predicted: `[interactions]`, whether a row is predicted.
    """

    def __init__(self, dataset: Dataset, max_history_length: int, batch_size: int) -> None:
        self.dataset = dataset
        self.length = max_history_length
        self.batch_size = batch_size
        self.readable = _readable_rows(dataset)
        self.predicted = (dataset.splits == Split.TRAIN) & (dataset.position_of_row > 0)

    def epoch(self, seed: int, epoch: int) -> list[Batch]:
        """The batches of one epoch; they depend on `seed` and `epoch` only."""
        random = np.random.default_rng([seed, epoch])
        first, lengths = self.cut(random.integers(self.length, size=len(self.dataset.user_ids)))
        order = random.permutation(len(first))
        chunks = np.split(order, range(self.batch_size, len(order), self.batch_size))
        return [self.batch(first[chunk], lengths[chunk]) for chunk in chunks]

    def cut(self, shifts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First row and length of every window; `shifts` `[users]` moves the cuts of each user."""
        users = self.dataset.user_of_row[self.readable]
        piece = (self.dataset.position_of_row[self.readable] + shifts[users]) // self.length
        starts = np.flatnonzero(
            (np.diff(users, prepend=-1) != 0) | (np.diff(piece, prepend=-1) != 0)
        )
        return self.readable[starts], np.diff(starts, append=len(self.readable))

    def batch(self, first: NDArray[np.int64], lengths: NDArray[np.int64]) -> Batch:
        """The windows that start at rows `first`, padded to the longest."""
        longest = int(lengths.max())
        places = np.arange(longest) - (longest - lengths)[:, None]
        rows = np.where(places >= 0, first[:, None] + places, NO_ROW)  # [batch, length]
        items, predicted = self.dataset.item_indices, self.predicted[rows + 1] & (rows >= 0)
        return Batch(
            histories=_tensor(np.where(rows >= 0, items[rows], 0)),
            next_items=_tensor(np.where(predicted, items[rows + 1], 0)),
            next_rows=_tensor(np.where(predicted, rows + 1, NO_ROW)),
        )


def _readable_rows(dataset: Dataset) -> NDArray[np.int64]:
    """Rows with a later TRAIN row of the same user."""
    rows = np.arange(len(dataset.splits))
    last_train = np.full(len(dataset.user_ids), NO_ROW)
    trained = rows[dataset.splits == Split.TRAIN]
    np.maximum.at(last_train, dataset.user_of_row[trained], trained)
    return np.flatnonzero(rows < last_train[dataset.user_of_row])


def _tensor(array: NDArray[np.integer]) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))
