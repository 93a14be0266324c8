"""Rounds values to codes of one byte, and divides a table into parts.

A table of ten million item vectors takes gigabytes. What is computed from it is computed part by
part, so that no second copy of it is made.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float32]
"""Item vectors, `[rows, hidden]`; row 0 is padding."""

# Largest code, half of a signed byte's range. Without VNNI, a processor keeps sums of two products
# in 16 bits, and larger codes would overflow them.
LARGEST_CODE = 63
SMALLEST = 1e-9  # largest absolute value from which codes are made, if all values are zeros
ROWS_AT_ONCE = 131_072  # 32 MiB of vectors of 64 numbers


def parts_of(length: int, rows_each: int = 1) -> Iterator[slice]:
    """Divides `length` places, of `rows_each` rows each, into parts of `ROWS_AT_ONCE` rows."""
    at_once = max(1, ROWS_AT_ONCE // rows_each)
    for start in range(0, length, at_once):
        yield slice(start, min(start + at_once, length))


def step_of(values: NDArray[np.float32]) -> np.float32:
    """Returns the step for codes of values, `[rows, …]`: the largest has `LARGEST_CODE`."""
    largest = max((float(np.abs(values[part]).max()) for part in parts_of(len(values))), default=0)
    return np.float32(max(largest, SMALLEST) / LARGEST_CODE)


def codes_of(values: NDArray[np.float32], step: np.float32) -> NDArray[np.int8]:
    """Divides values by `step` and rounds them to whole numbers of one byte, the codes.

    Code times step is about the value.
    """
    codes: NDArray[np.int8] = np.rint(values / step).astype(np.int8)
    return codes
