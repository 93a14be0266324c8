"""A stage of the road: a folder that is either whole and current, or not there.

Each stage writes into a temporary folder beside its target and renames it when done, so a kill
at any moment leaves the last whole result or none. A stage is current when the fingerprint of
everything it was made from is the one it was stamped with.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

STAMP_NAME = "stage.json"


def fingerprint(*parts: object) -> str:
    """A short content hash of JSON-able `parts`; equal parts give equal fingerprints."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_current(folder: Path, stamp: str) -> bool:
    """Whether `folder` is a whole result made from inputs whose fingerprint is `stamp`."""
    try:
        recorded = json.loads((folder / STAMP_NAME).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    return bool(recorded == {"fingerprint": stamp})


@contextmanager
def publish(folder: Path, stamp: str) -> Iterator[Path]:
    """Yields an empty folder to fill; on success it becomes `folder`, on failure it is removed."""
    building, leaving = (folder.with_name(f".{folder.name}.{what}") for what in ("building", "old"))
    for each in (building, leaving):
        shutil.rmtree(each, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        yield building
        (building / STAMP_NAME).write_text(json.dumps({"fingerprint": stamp}))
        if folder.exists():
            folder.rename(leaving)  # a kill may come while it is deleted
        building.rename(folder)
    finally:
        for each in (building, leaving):
            shutil.rmtree(each, ignore_errors=True)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yields a file to write; on success it becomes `path`, on failure `path` stays as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name.removeprefix('.')}.partial")
    with partial.open("wb") as file:
        yield file
    partial.replace(path)


def write_text(path: Path, text: str) -> None:
    """Writes `text` as a whole file."""
    with whole_file(path) as file:
        file.write(text.encode())


def write_array(path: Path, array: NDArray[np.generic]) -> None:
    """Writes `array` as a whole file, `.npy`."""
    with whole_file(path) as file:
        np.save(file, array)


def write_arrays(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Writes `arrays` as a whole file, a compressed `.npz`."""
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # stub
