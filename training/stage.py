"""A stage of training: a folder that is written as a whole and stamped with what it is made from.

A stage is current when its stamp is the fingerprint of everything that decides its content: then
there is nothing to do. `export.contract.folders` says what a kill in the middle leaves.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.contract.folders import finish_replacement as finish_replacement
from export.contract.folders import readable_folder as readable_folder
from export.contract.folders import whole_file as whole_file
from export.contract.folders import whole_folder as whole_folder

STAMP_NAME = "stage.json"


def fingerprint(*parts: object) -> str:
    """A short content hash of JSON-able `parts`; equal parts give equal fingerprints."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_current(folder: Path, stamp: str) -> bool:
    """Whether `folder` is a complete result made from inputs whose fingerprint is `stamp`."""
    try:
        recorded = json.loads((readable_folder(folder) / STAMP_NAME).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    return bool(recorded == {"fingerprint": stamp})


@contextmanager
def write_stage(folder: Path, stamp: str) -> Iterator[Path]:
    """Yields an empty folder to fill; on success it is stamped and replaces `folder`."""
    with whole_folder(folder) as building:
        yield building
        (building / STAMP_NAME).write_text(json.dumps({"fingerprint": stamp}))


def write_text(path: Path, text: str) -> None:
    """Writes `text` in UTF-8, as a file that is replaced as a whole."""
    with whole_file(path) as file:
        file.write(text.encode())


def write_array(path: Path, array: NDArray[np.generic]) -> None:
    """Writes `array` as `.npy`, a file that is replaced as a whole."""
    with whole_file(path) as file:
        np.save(file, array)


def write_arrays(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Writes `arrays` as a compressed `.npz`, a file that is replaced as a whole."""
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # stub
