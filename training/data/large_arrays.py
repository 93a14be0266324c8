"""Arrays with a value per interaction, which may be larger than memory.

Large arrays are memory-mapped from temporary files without a name, in the folder that `TMPDIR`
selects. The operating system writes their pages to disk where memory is short, and frees the disk
space when the process ends, however it ends. Code that reads or writes such arrays goes block by
block, so its own temporary arrays stay small.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError

Scalar = TypeVar("Scalar", bound=np.generic)

ROWS_A_BLOCK = 1 << 21
MAX_BYTES_IN_MEMORY = 1 << 26  # larger arrays lie on disk


def blocks(length: int) -> Iterator[slice]:
    """Yields slices of at most `ROWS_A_BLOCK` rows, which together cover `length` rows in order."""
    for start in range(0, length, ROWS_A_BLOCK):
        yield slice(start, min(start + ROWS_A_BLOCK, length))


def new_array(length: int, dtype: type[Scalar] | np.dtype[Scalar]) -> NDArray[Scalar]:
    """Returns an array of zeros, `[length]`: in memory, or memory-mapped if it is large.

    Raises:
        DataError: the disk does not have enough space for a large array.
    """
    num_bytes = length * np.dtype(dtype).itemsize
    if num_bytes <= MAX_BYTES_IN_MEMORY:
        return np.zeros(length, dtype)
    with temporary_space(num_bytes), tempfile.TemporaryFile() as file:
        _reserve(file.fileno(), num_bytes)
        return np.memmap(file, dtype, "r+", shape=(length,))


@contextmanager
def temporary_space(num_bytes: int) -> Iterator[None]:
    """Context manager for writing a temporary file: turns an OSError into a DataError.

    The error says that the disk has no space for `num_bytes` bytes. Every OSError gets this
    message, so the context should do nothing else than write the file.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{tempfile.gettempdir()}: no space for a temporary file of {num_bytes:,} bytes "
            f"({error.strerror}); free some, or set TMPDIR to a folder on a larger disk"
        ) from None


def _reserve(file: int, num_bytes: int) -> None:
    """Extends the file with the descriptor `file` to `num_bytes` bytes.

    On Linux, the space on disk is reserved, too. Otherwise a write to a mapped page would kill the
    process when the disk is full.
    """
    if sys.platform == "linux":
        os.posix_fallocate(file, 0, num_bytes)
    else:
        os.truncate(file, num_bytes)
