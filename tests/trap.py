"""A pickle whose code leaves a file when it runs, for tests that see that none of it does."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import torch


class Trap:
    """An object that, when it is read from a pickle, leaves a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self._path,)


def pickled(sprung: Path) -> bytes:
    """Returns a pickle whose code leaves the file `sprung`."""
    return pickle.dumps(Trap(sprung))


def pickled_by_torch(sprung: Path) -> bytes:
    """Returns a file of `torch.save` whose code leaves the file `sprung`."""
    file = io.BytesIO()
    torch.save({"weights": Trap(sprung)}, file)
    return file.getvalue()


def pickled_by_numpy(sprung: Path) -> bytes:
    """Returns a `.npy` file of an object array whose code leaves the file `sprung`."""
    file, content = io.BytesIO(), np.empty(1, dtype=object)
    content[0] = Trap(sprung)
    np.save(file, content)
    return file.getvalue()


def with_trapped_arrays(archive: bytes, sprung: Path) -> bytes:
    """Returns the `.npz` file `archive` with a trap in the place of each of its arrays."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as names, zipfile.ZipFile(file, "w") as trapped:
        for name in names.namelist():
            trapped.writestr(name, pickled_by_numpy(sprung))
    return file.getvalue()
