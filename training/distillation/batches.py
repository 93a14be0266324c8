"""Training windows: the interactions of each user, cut into pieces of bounded length."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset, Split

NO_ROW = -1  # in `Batch.next_rows`: no item is predicted


@dataclass(frozen=True)
class Batch:
    """Training windows, padded on the left.

    Attributes:
        histories: `[batch, length]`, item indices that are read; 0 is padding.
        next_items: `[batch, length]`, the item to predict after each item read; 0 if there is none.
        next_rows: `[batch, length]`, the dataset row of that next item; `NO_ROW` if there is none.
    """

    histories: Tensor
    next_items: Tensor
    next_rows: Tensor

    @property
    def is_predicted(self) -> Tensor:
        """`[batch, length]`, whether there is an item to predict after an item read."""
        return self.next_items != 0

    @property
    def num_predicted(self) -> int:
        """Number of predicted items."""
        return int(self.is_predicted.sum())

    def by_length(self, num_parts: int) -> Iterator["Batch"]:
        """Sorts the windows by length and yields them in at most `num_parts` parts.

        Each part is padded to its own longest window. Most windows are far shorter than the longest
        one, so most of an unsplit batch is padding.
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
        """Selects the windows of process `rank`: every `num_ranks`-th one, from `rank` on."""
        return Batch(
            self.histories[rank::num_ranks],
            self.next_items[rank::num_ranks],
            self.next_rows[rank::num_ranks],
        )

    def to(self, device: torch.device) -> "Batch":
        """Returns a copy of the batch on `device`."""
        return Batch(
            self.histories.to(device), self.next_items.to(device), self.next_rows.to(device)
        )


class TrainingWindows:
    """Cuts the histories of a dataset into windows, in each epoch at other rows.

    All rows of a user before the last TRAIN row are read. Every TRAIN row with an earlier row of
    the same user is predicted exactly once per epoch. HISTORY rows are read and never predicted.
    Rows whose items the student does not read are left out first, as if they were not there.

    Args:
        dataset: the dataset to train on.
        max_history_length: maximum number of items in a window.
        batch_size: number of windows in a batch.
        readable: `[catalog rows]`, whether the student reads an item; None: it reads all. Every
            item of a TRAIN row is readable.
        item_dropout: share of rows that an epoch leaves out, drawn anew for each epoch.

    Attributes:
        length: maximum number of items in a window.
        rows: dataset rows that are not left out, ascending. What follows refers to them.
        items: `[rows]`, the item_index of each row.
        users: `[rows]`, the user of each row, as an index into `Dataset.user_ids`.
        position: `[rows]`, number of earlier rows of the same user.
        read: numbers in `rows` of those that are read, ascending.
        predicted: `[rows]`, whether a row is predicted.
    """

    def __init__(
        self,
        dataset: Dataset,
        max_history_length: int,
        batch_size: int,
        readable: NDArray[np.bool_] | None = None,
        item_dropout: float = 0.0,
    ) -> None:
        self.dataset = dataset
        self.length = max_history_length
        self.batch_size = batch_size
        self.item_dropout = item_dropout
        every = np.arange(len(dataset.splits))
        self._keep(every if readable is None else every[readable[dataset.item_indices]])

    def _keep(self, rows: NDArray[np.int64]) -> None:
        """Leaves out all dataset rows but `rows`, which are ascending."""
        dataset, self.rows = self.dataset, rows
        self.items = dataset.item_indices[self.rows]
        self.users = dataset.user_of_row[self.rows]
        self.position = np.arange(len(self.rows)) - np.searchsorted(self.users, self.users)
        is_train = dataset.splits[self.rows] == Split.TRAIN
        self.read = _before_the_last(is_train, self.users)
        self.predicted = is_train & (self.position > 0)

    def epoch(self, seed: int, epoch: int) -> list[Batch]:
        """Returns the shuffled batches of one epoch; they depend on `seed` and `epoch` only."""
        random = np.random.default_rng([seed, epoch])
        if self.item_dropout:
            thinned = copy(self)
            thinned._keep(self.rows[random.random(len(self.rows)) >= self.item_dropout])
            return thinned._batches(random)
        return self._batches(random)

    def _batches(self, random: np.random.Generator) -> list[Batch]:
        first, lengths = self.cut(random.integers(self.length, size=len(self.dataset.user_ids)))
        order = random.permutation(len(first))
        chunks = np.split(order, range(self.batch_size, len(order), self.batch_size))
        return [self.batch(first[chunk], lengths[chunk]) for chunk in chunks if len(chunk)]

    def cut(self, shifts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cuts all rows that are read into windows.

        Args:
            shifts: `[users]`, by how many rows the cuts of each user are moved.

        Returns:
            Number in `rows` of the first row, and number of rows, of each window, `[windows]` each.
        """
        users = self.users[self.read]
        piece = (self.position[self.read] + shifts[users]) // self.length
        starts = np.flatnonzero(
            (np.diff(users, prepend=-1) != 0) | (np.diff(piece, prepend=-1) != 0)
        )
        return self.read[starts], np.diff(starts, append=len(self.read))

    def batch(self, first: NDArray[np.int64], lengths: NDArray[np.int64]) -> Batch:
        """Builds a batch of the windows with these first rows and lengths, `[windows]` each.

        It is padded to the longest window. Every window is followed by a row of its user.
        """
        longest = int(lengths.max())
        places = np.arange(longest) - (longest - lengths)[:, None]
        read = np.where(places >= 0, first[:, None] + places, NO_ROW)  # [batch, length]
        predicted = self.predicted[read + 1] & (read >= 0)
        return Batch(
            histories=_tensor(np.where(read >= 0, self.items[read], 0)),
            next_items=_tensor(np.where(predicted, self.items[read + 1], 0)),
            next_rows=_tensor(np.where(predicted, self.rows[read + 1], NO_ROW)),
        )


def _before_the_last(is_train: NDArray[np.bool_], users: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the numbers of the rows that a later TRAIN row of the same user follows, ascending.

    `is_train` and `users` are `[rows]`; `users` is ascending.
    """
    numbers = np.arange(len(users))
    last_train = np.full(users.max(initial=0) + 1, NO_ROW)
    trained = numbers[is_train]
    np.maximum.at(last_train, users[trained], trained)
    return np.flatnonzero(numbers < last_train[users])


def _tensor(array: NDArray[np.integer]) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))
