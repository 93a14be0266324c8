"""Histories as a student reads them: the items that it reads, padded into one array."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.catalog import PADDING_INDEX
from training.data.dataset import IntArray


def read_items(history: IntArray, readable: NDArray[np.bool_] | None) -> IntArray:
    """Returns the items of a history that a student reads, oldest first.

    Items that it does not read are left out before a window is cut, so the newest item left is at
    the newest position.

    Args:
        history: item indices.
        readable: `[catalog rows]`, whether the student reads an item; None: it reads all.
    """
    return history if readable is None else history[readable[history]]


def pad_histories(histories: Sequence[IntArray], length: int) -> NDArray[np.int64]:
    """Returns the newest `length` items of each history, padded on the left.

    The result is `[histories, length]`, item indices, oldest first; padding is 0.

    Raises:
        ValueError: `length` is less than 1.
    """
    if length < 1:
        raise ValueError(f"length = {length}: must be at least 1")
    padded = np.full((len(histories), length), PADDING_INDEX, dtype=np.int64)
    for row, history in zip(padded, histories, strict=True):
        newest = history[-length:]
        row[length - len(newest) :] = newest
    return padded
