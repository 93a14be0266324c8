"""Training windows: each user's interactions in pieces of at most `max_history_length` rows."""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset, Split

NO_ROW = -1  # in `Batch.next_rows`: no item is predicted


@dataclass(frozen=True)
class Batch:
    """A batch of training windows: one per row, padded on the left, or several per row (packed).

    Attributes:
        histories: `[batch, length]`, indices of the items that the student reads; 0 is padding.
        next_items: `[batch, length]`, index of the item to predict after each item of `histories`;
            0 where none is predicted.
        next_rows: `[batch, length]`, dataset row of each of `next_items`; `NO_ROW` where none is
            predicted.
        windows: `[batch, length]`, number of the window that each position belongs to, from 1; 0 is
            padding. None if the batch is not packed.
    """

    histories: Tensor
    next_items: Tensor
    next_rows: Tensor
    windows: Tensor | None = None

    @property
    def is_predicted(self) -> Tensor:
        """Mask `[batch, length]` of the positions after which an item is to be predicted."""
        return self.next_items != 0

    @property
    def num_predicted(self) -> int:
        """Number of positions with a next item to predict; padding does not count."""
        return int(self.is_predicted.sum())

    def by_length(self, num_parts: int) -> Iterator["Batch"]:
        """Splits a batch that is not packed into at most `num_parts` batches, by length of window.

        Windows are sorted by length, and each part is padded to its own longest window. This saves
        most of the padding, since most windows are far shorter than the longest one.
        """
        lengths = (self.histories != 0).sum(dim=1)
        for part in lengths.argsort(stable=True).tensor_split(min(num_parts, len(lengths))):
            longest = int(lengths[part[-1]])
            yield Batch(
                self.histories[part, -longest:],
                self.next_items[part, -longest:],
                self.next_rows[part, -longest:],
            )

    def packed(self) -> "Batch":
        """Packs several windows into each row of the batch, to save padding; no window is split.

        Rows keep their length. Most windows are far shorter than a row, so several windows fit.
        """
        is_read = self.histories != 0
        lengths = is_read.sum(dim=1)
        length = self.histories.shape[1]
        num_rows, begins = _packed_places(lengths.tolist(), length)
        ends = lengths.cumsum(dim=0)
        moves = (torch.tensor(begins) - (ends - lengths)).repeat_interleave(lengths)
        cells = torch.arange(len(moves)) + moves
        windows = torch.arange(1, len(lengths) + 1).repeat_interleave(lengths)

        def packed(of_windows: Tensor, padding: int) -> Tensor:
            rows = torch.full((num_rows * length,), padding)
            rows[cells] = of_windows
            return rows.view(num_rows, length)

        return Batch(
            histories=packed(self.histories[is_read], 0),
            next_items=packed(self.next_items[is_read], 0),
            next_rows=packed(self.next_rows[is_read], NO_ROW),
            windows=packed(windows, 0),
        )

    def part(self, rank: int, num_ranks: int) -> "Batch":
        """Returns the part of the batch that process `rank` of `num_ranks` processes computes.

        The batch must not be packed. The part has its windows number `rank`, `rank + num_ranks`,
        `rank + 2 * num_ranks`, and so on.
        """
        return Batch(
            self.histories[rank::num_ranks],
            self.next_items[rank::num_ranks],
            self.next_rows[rank::num_ranks],
        )

    def to(self, device: torch.device) -> "Batch":
        """Returns the batch with its tensors on `device`."""
        return Batch(
            self.histories.to(device),
            self.next_items.to(device),
            self.next_rows.to(device),
            None if self.windows is None else self.windows.to(device),
        )


class TrainingWindows:
    """Cuts each user's interactions into training windows, at different rows in each epoch.

    The windows hold all rows of a user before the user's last TRAIN row. Each epoch predicts every
    TRAIN row once, except the first row of a user. HISTORY rows are read and never predicted. Rows
    of items that the student does not read are removed before the windows are cut.

    Args:
        dataset: the dataset to train on.
        max_history_length: maximum number of items in a window.
        batch_size: number of windows in a batch.
        readable: mask `[catalog rows]` of the items that the student reads; None if it reads all.
            The items of all TRAIN rows must be readable.
        item_dropout: share of rows that are neither read nor predicted in an epoch. They are drawn
            at random for each epoch.

    Attributes:
        length: maximum number of items in a window.
        rows: dataset rows that windows are cut from, ascending.
        items: `[rows]`, item_index of each row.
        users: `[rows]`, user of each row, as an index into `Dataset.user_ids`.
        position: `[rows]`, number of earlier rows of the same user in `rows`.
        read: indices into `rows` of the rows that windows hold, ascending.
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
        """Sets `self.rows` to `rows`, which is ascending, and all attributes that depend on it."""
        dataset, self.rows = self.dataset, rows
        self.items = dataset.item_indices[self.rows]
        self.users = dataset.user_of_row[self.rows]
        self.position = np.arange(len(self.rows)) - np.searchsorted(self.users, self.users)
        is_train = dataset.splits[self.rows] == Split.TRAIN
        self.read = _before_the_last(is_train, self.users)
        self.predicted = is_train & (self.position > 0)

    def epoch(self, seed: int, epoch: int) -> "EpochBatches":
        """Returns the batches of epoch `epoch`, in random order; the first epoch is 0.

        The same `seed` and `epoch` always give the same batches. Each batch is built only when it
        is read, to save memory.
        """
        random = np.random.default_rng([seed, epoch])
        if self.item_dropout:
            thinned = copy(self)
            thinned._keep(self.rows[random.random(len(self.rows)) >= self.item_dropout])
            return thinned._batches(random)
        return self._batches(random)

    def _batches(self, random: np.random.Generator) -> "EpochBatches":
        first, lengths = self.cut(random.integers(self.length, size=len(self.dataset.user_ids)))
        order = random.permutation(len(first))
        return EpochBatches(self, first[order], lengths[order])

    def cut(self, shifts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cuts the rows that are read into windows of at most `length` rows.

        Args:
            shifts: `[users]`, number of rows by which the cuts between a user's windows are moved
                towards older rows; less than `length`.

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
            lengths: `[windows]`, number of rows of each window. The next row in `rows` after a
                window must be of the same user.
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


class EpochBatches(Sequence[Batch]):
    """The batches of an epoch, each built when it is read.

    Attributes:
        windows: the training windows that batches are built from.
        first: `[windows]`, index into `windows.rows` of the first row of each window, in order.
        lengths: `[windows]`, number of rows of each window.
    """

    def __init__(
        self, windows: TrainingWindows, first: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> None:
        self.windows = windows
        self.first = first
        self.lengths = lengths

    def __len__(self) -> int:
        return -(-len(self.first) // self.windows.batch_size)

    @overload
    def __getitem__(self, index: int) -> Batch: ...

    @overload
    def __getitem__(self, index: slice) -> list[Batch]: ...

    def __getitem__(self, index: int | slice) -> Batch | list[Batch]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        start = range(len(self))[index] * self.windows.batch_size
        chosen = slice(start, start + self.windows.batch_size)
        return self.windows.batch(self.first[chosen], self.lengths[chosen])


def num_steps(dataset: Dataset, max_history_length: int, batch_size: int) -> int:
    """Returns the number of batches in the first epoch of a student that reads every item.

    Later epochs cut windows elsewhere, so their number may differ by a few.
    """
    return len(TrainingWindows(dataset, max_history_length, batch_size).epoch(seed=0, epoch=0))


def _before_the_last(is_train: NDArray[np.bool_], users: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the indices of all rows before the last TRAIN row of their user, ascending.

    Args:
        is_train: `[rows]`, whether a row is a TRAIN row.
        users: `[rows]`, user of each row, ascending.
    """
    numbers = np.arange(len(users))
    last_train = np.full(users.max(initial=0) + 1, NO_ROW)
    trained = numbers[is_train]
    np.maximum.at(last_train, users[trained], trained)
    return np.flatnonzero(numbers < last_train[users])


def _packed_places(lengths: Sequence[int], row_length: int) -> tuple[int, Sequence[int]]:
    """Packs windows into rows: the longest first, each into the fullest row with room for it.

    Args:
        lengths: length of each window, at most `row_length`.
        row_length: number of positions in a row.

    Returns:
        The number of rows, and the first position of each window. Positions are counted from 0
        over all rows, concatenated.
    """
    begins, num_rows = [0] * len(lengths), 0
    rows_by_room: list[list[int]] = [[] for _ in range(row_length + 1)]
    for window in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        length = lengths[window]
        room = next((r for r in range(length, row_length + 1) if rows_by_room[r]), row_length)
        if not rows_by_room[room]:
            rows_by_room[room].append(num_rows)
            num_rows += 1
        row = rows_by_room[room].pop()
        begins[window] = (row + 1) * row_length - room
        rows_by_room[room - length].append(row)
    return num_rows, begins


def _tensor(array: NDArray[np.integer]) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))
