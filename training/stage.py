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
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        yield building
        (building / STAMP_NAME).write_text(json.dumps({"fingerprint": stamp}))
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def write_atomically(path: Path, text: str) -> None:
    """Writes `text` to a temporary name and renames it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def write_arrays_atomically(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Writes `arrays` as a compressed `.npz` to a temporary name and renames it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # stub
    partial.replace(path)


def write_array_atomically(path: Path, array: NDArray[np.generic]) -> None:
    """Writes `array` as `.npy` to a temporary name and renames it to `path`."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        np.save(file, array)
    partial.replace(path)
