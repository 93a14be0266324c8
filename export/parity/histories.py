"""Generates the histories with which exported graphs are compared with the student in torch.

Divides the items of a large catalog into the parts whose scores are compared.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.catalog import PADDING_INDEX
from training.data.histories import pad_histories

History = NDArray[np.int64]
Part = slice
"""Item indices from a first one in steps."""

ALL_ITEMS = slice(1, None)
PART_SIZE, MAX_PARTS = 2**17, 32  # items of a part, unless there are more in one of `MAX_PARTS`
# Scores that the model computes for all random histories: of a million items, for 268.
MAX_MODEL_SCORES = 2**28


def num_random_for(num_items: int, wanted: int) -> int:
    """Returns the number of random histories to compare after in a catalog of `num_items` items.

    It is `wanted`, or as many as make `MAX_MODEL_SCORES` scores, but at least two for each part of
    the items: a batch has two or more.
    """
    return min(wanted, max(2 * len(parts_of_items(num_items)), MAX_MODEL_SCORES // num_items))


def parts_of_items(num_items: int) -> Sequence[Part]:
    """Divides the item indices 1 to `num_items` into parts; a small catalog has only one."""
    number = min(MAX_PARTS, -(-num_items // PART_SIZE))
    if number <= 1:
        return [ALL_ITEMS]
    return [slice(first, None, number) for first in range(1, number + 1)]


def edge_histories(
    longest: int, num_items: int, generator: np.random.Generator
) -> Iterator[tuple[str, History]]:
    """Yields edge-case histories as pairs of a name and item indices, oldest first.

    `longest` is the length of the window. The lengths of the histories are 1, a few near `longest`,
    and three times `longest`. Some histories have padding or repeat one item. Item indices are
    between 1 and `num_items`, besides 0 for padding.
    """
    lengths = {1, longest - 1, longest, longest + 1, 3 * longest} - {0}
    for length in sorted(lengths):
        history = generator.integers(1, num_items + 1, length)
        yield f"length {length}", history
        yield f"length {length}, padding between", np.insert(history, length // 2, [0, 0])
        yield f"length {length}, padding after", np.append(history, [0, 0, 0])
    yield "one item repeated", np.full(longest, num_items)
    yield "all unknown", np.zeros(3, dtype=np.int64)


def random_histories(
    longest: int, num_items: int, count: int, generator: np.random.Generator
) -> Iterator[tuple[str, History]]:
    """Yields `count` random histories as pairs of a name and item indices, oldest first.

    The lengths are from 1 to `2 * longest`, where `longest` is the length of the window. Items are
    drawn from 1 to `num_items`. In every second history, each item is replaced by padding, 0, with
    a probability of 0.1.
    """
    for number in range(count):
        history = generator.integers(1, num_items + 1, generator.integers(1, 2 * longest + 1))
        if number % 2:
            history[generator.random(len(history)) < 0.1] = PADDING_INDEX
        yield f"random history {number}", history


def behind_others(history: History, longest: int) -> NDArray[np.int64]:
    """Returns a batch, `[3, length]`: `history` reversed, `history` sorted, and `history` itself.

    If `history` has at least `longest` items, the length of the window, the batch is two longer.
    Then two padding items precede `history` in its row, and the other rows repeat two of its items.
    """
    width = len(history) + 2 * (len(history) >= longest)
    others = np.resize(history[::-1], width), np.resize(np.sort(history), width)
    return pad_histories([*others, history], width)
