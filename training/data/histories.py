"""Pads histories into one array; the only place that implements the window rule."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.catalog import PADDING_INDEX
from training.data.dataset import IntArray


def pad_histories(histories: Sequence[IntArray], length: int) -> NDArray[np.int64]:
    """The newest `length` items of each history, `[histories, length]`, padded on the left.

    Raises:
        ValueError: `length` is less than 1.
    """
    if length < 1:
        raise ValueError(f"length = {length}: a window holds at least one item")
    padded = np.full((len(histories), length), PADDING_INDEX, dtype=np.int64)
    for line, history in zip(padded, histories, strict=True):
        newest = history[-length:]
        line[length - len(newest) :] = newest
    return padded
