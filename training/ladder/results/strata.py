"""Divides examples into strata: by cold items, length of the history, and popularity of the target.

Each example belongs to exactly one stratum of a division.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset

LENGTHS = (1, 3, 6, 11, 21)  # smallest number of items of a history in each stratum
COUNTS = (0, 1, 10, 30, 100)  # smallest number of training interactions of a target in each
COLD_IN_HISTORY = ("none in the history", "one earlier in the history", "one as its last item")


@dataclass(frozen=True)
class Division:
    """A division of all rows of a dataset into strata.

    Attributes:
        title: heading that names the property by which rows are divided.
        strata: maps the name of a stratum to a mask of its rows, `[interactions]`. Only rows that
            are examples are used.
    """

    title: str
    strata: Mapping[str, NDArray[np.bool_]]


def divisions(dataset: Dataset) -> Iterator[Division]:
    """Yields three divisions: by cold items, length of the history and popularity of the target."""
    yield Division("Cold items, as target and in the history", dict(_cold_strata(dataset)))
    lengths = dataset.position_of_row
    yield Division("Length of the history, in items", _ranges(lengths, LENGTHS, "items"))
    counts = dataset.train_counts()[dataset.item_indices]
    yield Division("Training interactions of the target", _ranges(counts, COUNTS, "interactions"))


def _cold_strata(dataset: Dataset) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    is_cold = (dataset.train_counts() == 0)[dataset.item_indices]
    is_last = np.append(False, is_cold[:-1]) & (dataset.position_of_row > 0)
    num_before = np.append(0, np.cumsum(is_cold)[:-1])
    num_of_others = num_before[dataset.user_offsets[:-1][dataset.user_of_row]]
    is_somewhere = num_before > num_of_others
    by_place = (~is_somewhere, is_somewhere & ~is_last, is_last)
    for target, is_target in (("warm", ~is_cold), ("cold", is_cold)):
        for place, is_there in zip(COLD_IN_HISTORY, by_place, strict=True):
            yield f"{target} target, {place}", is_target & is_there


def _ranges(
    values: NDArray[np.int64], begins: Sequence[int], unit: str
) -> dict[str, NDArray[np.bool_]]:
    """Divides rows into ranges of `values`; returns a mask of the rows of each range, by its name.

    A range reaches from one of `begins` to just below the next one; the last range has no end.
    Values below the first of `begins` belong to no range.

    Args:
        values: `[interactions]`, one value per row.
        begins: lowest value of each range, ascending.
        unit: word for what the values count, such as "items", at the end of each name.
    """
    strata = {}
    for begin, end in zip(begins, [*begins[1:], None], strict=True):
        is_within = (values >= begin) & (values < end) if end is not None else values >= begin
        strata[f"{_name(begin, end)} {unit}"] = is_within
    return strata


def _name(begin: int, end: int | None) -> str:
    if end is None:
        return f"{begin} and more"
    return str(begin) if end == begin + 1 else f"{begin} to {end - 1}"
