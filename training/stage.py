"""Writes the folders of training stages atomically, each with a stamp of its inputs.

The stamp is the fingerprint of everything that decides the folder's content. If the stamp in the
folder equals that of the present inputs, the folder is up to date and the stage need not run.
`export.contract.folders` describes what is on the disk if the process is killed while it writes.
"""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from export.contract.folders import finish_replacement as finish_replacement
from export.contract.folders import readable_folder as readable_folder
from export.contract.folders import whole_file as whole_file
from export.contract.folders import whole_folder as whole_folder
from training.errors import DiskError

STAMP_NAME = "stage.json"
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES})


def fingerprint(*parts: object) -> str:
    """Returns a hash of `parts`, 16 hexadecimal digits; equal parts give equal hashes.

    Parts that JSON cannot represent are hashed by their `str`.
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_current(folder: Path, stamp: str) -> bool:
    """Returns whether a stage has written `folder` completely, with the stamp `stamp`."""
    try:
        recorded = json.loads((readable_folder(folder) / STAMP_NAME).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    return bool(recorded == {"fingerprint": stamp})


@contextmanager
def write_stage(folder: Path, stamp: str) -> Iterator[Path]:
    """Context manager that yields an empty folder to fill, which then replaces `folder`.

    The stamp is stored in the new folder. If the block raises an error, `folder` stays as it was.

    Raises:
        DiskError: the disk is full, or does not allow writing, for `folder` or within the block.
    """
    try:
        with whole_folder(folder) as building:
            yield building
            (building / STAMP_NAME).write_text(json.dumps({"fingerprint": stamp}))
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        place = error.filename or folder
        raise DiskError(f"{place}: {error.strerror}; {folder} is as it was before") from None


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Context manager that yields a new file to write, which then replaces the file `path`.

    If the block raises an error, the file `path` stays as it was.

    Raises:
        DiskError: the file cannot be written. NumPy's own errors do not name the file.
    """
    try:
        with whole_file(path) as file:
            yield file
    except OSError as error:
        raise DiskError(f"{path}: {error.strerror or error}") from None


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` in UTF-8, atomically; after a power loss, too, the file is whole."""
    with new_file(path) as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def write_array(path: Path, array: NDArray[np.generic]) -> None:
    """Writes `array` to `path` in NumPy's format `.npy`, atomically."""
    with new_file(path) as file:
        np.save(file, array, allow_pickle=False)


def write_arrays(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Writes `arrays`, keyed by name, to `path` in NumPy's compressed format `.npz`, atomically."""
    with new_file(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # stub
