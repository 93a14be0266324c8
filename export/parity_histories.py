"""Generates the histories with which exported graphs are compared with the student in torch."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training.data.catalog import PADDING_INDEX

History = NDArray[np.int64]


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
