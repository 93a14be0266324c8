"""Prepares histories for a student: drops items that it cannot read, and cuts or pads the rest."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.catalog import PADDING_INDEX
from training.data.dataset import IntArray


def read_items(history: IntArray, readable: NDArray[np.bool_] | None) -> IntArray:
    """Returns a history without the items that a student does not read, oldest first.

    Call this before `pad_histories`, so that only items that the student reads fill the window.

    Args:
        history: item indices, oldest first.
        readable: `[catalog rows]`, whether the student reads each item; None if it reads all.
    """
    return history if readable is None else history[readable[history]]


def pad_histories(histories: Sequence[IntArray], length: int) -> NDArray[np.int64]:
    """Makes each history `length` items long: keeps its newest items, or pads it on the left.

    Args:
        histories: item indices of each history, oldest first.
        length: number of items in a row of the result.

    Returns:
        `[histories, length]`, item indices, oldest first; padding is 0.

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
