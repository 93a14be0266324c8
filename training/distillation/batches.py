"""Training windows: pieces of each user's interactions, of at most `max_history_length` rows."""

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
    """A batch of training windows, padded on the left.

    Attributes:
        histories: `[batch, length]`, indices of the items that the student reads; 0 is padding.
        next_items: `[batch, length]`, index of the item to predict after each item of `histories`;
            0 where none is predicted.
        next_rows: `[batch, length]`, dataset row of each of `next_items`; `NO_ROW` where none is
            predicted.
    """

    histories: Tensor
    next_items: Tensor
    next_rows: Tensor

    @property
    def is_predicted(self) -> Tensor:
        """Mask `[batch, length]` of the positions after which an item is to be predicted."""
        return self.next_items != 0

    @property
    def num_predicted(self) -> int:
        """Number of positions with a next item to predict; padding does not count."""
        return int(self.is_predicted.sum())

    def by_length(self, num_parts: int) -> Iterator["Batch"]:
        """Yields the windows, sorted by length, in at most `num_parts` smaller batches.

        Each of these is padded to its own longest window. Most windows are far shorter than the
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
        """Returns the part of the batch that process `rank` of `num_ranks` processes computes.

        It has the windows number `rank`, `rank + num_ranks`, `rank + 2 * num_ranks`, and so on.
        """
        return Batch(
            self.histories[rank::num_ranks],
            self.next_items[rank::num_ranks],
            self.next_rows[rank::num_ranks],
        )

    def to(self, device: torch.device) -> "Batch":
        """Returns the batch with its tensors on `device`."""
        return Batch(
            self.histories.to(device), self.next_items.to(device), self.next_rows.to(device)
        )


class TrainingWindows:
    """Cuts each user's interactions into training windows, with other borders in each epoch.

    The windows hold all rows of a user before the last TRAIN row. Each epoch predicts every TRAIN
    row once, if the same user has an earlier row. HISTORY rows are read and never predicted.
    Rows of items that the student does not read are removed before the windows are cut.

    Args:
        dataset: the dataset to train on.
        max_history_length: maximum number of items in a window.
        batch_size: number of windows in a batch.
        readable: `[catalog rows]`, whether the student reads an item; None if it reads all. It must
            be true for every item of a TRAIN row.
        item_dropout: share of rows that an epoch leaves out, drawn anew for each epoch. They are
            neither read nor predicted in that epoch.

    Attributes:
        length: maximum number of items in a window.
        rows: dataset rows that are not left out, ascending.
        items: `[rows]`, the item_index of each of `rows`.
        users: `[rows]`, the user of each of `rows`, as an index into `Dataset.user_ids`.
        position: `[rows]`, number of earlier entries of `rows` of the same user.
        read: indices into `rows` of the rows that windows hold, ascending.
        predicted: `[rows]`, whether each of `rows` is predicted.
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
        """Sets which dataset rows the windows are cut from, and all attributes that follow from it.

        `rows` are ascending; a window then holds consecutive ones of them.
        """
        dataset, self.rows = self.dataset, rows
        self.items = dataset.item_indices[self.rows]
        self.users = dataset.user_of_row[self.rows]
        self.position = np.arange(len(self.rows)) - np.searchsorted(self.users, self.users)
        is_train = dataset.splits[self.rows] == Split.TRAIN
        self.read = _before_the_last(is_train, self.users)
        self.predicted = is_train & (self.position > 0)

    def epoch(self, seed: int, epoch: int) -> list[Batch]:
        """Returns the batches of epoch number `epoch`, from 0, in random order.

        The same `seed` and `epoch` always give the same batches.
        """
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
        """Cuts the rows that are read into windows of at most `length` rows.

        Args:
            shifts: `[users]`, number of rows, less than `length`, by which the cuts between the
                windows of each user are moved towards older rows.

        Returns:
            Two arrays `[windows]`: the index into `rows` of the first row of each window, and the
            number of rows of each window.
        """
        users = self.users[self.read]
        piece = (self.position[self.read] + shifts[users]) // self.length
        starts = np.flatnonzero(
            (np.diff(users, prepend=-1) != 0) | (np.diff(piece, prepend=-1) != 0)
        )
        return self.read[starts], np.diff(starts, append=len(self.read))

    def batch(self, first: NDArray[np.int64], lengths: NDArray[np.int64]) -> Batch:
        """Builds a batch of windows, padded on the left to the longest of them.

        Args:
            first: `[windows]`, index into `rows` of the first row of each window.
            lengths: `[windows]`, number of rows of each window. After its last row, `rows` must
                have a further row of the same user.
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
    """Returns the indices of all rows before the last TRAIN row of their user, ascending.

    Args:
        is_train: `[rows]`, whether a row is a TRAIN row.
        users: `[rows]`, the user of each row, ascending.
    """
    numbers = np.arange(len(users))
    last_train = np.full(users.max(initial=0) + 1, NO_ROW)
    trained = numbers[is_train]
    np.maximum.at(last_train, users[trained], trained)
    return np.flatnonzero(numbers < last_train[users])


def _tensor(array: NDArray[np.integer]) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))
