"""Reads the arrays that a ladder has stored."""

from pathlib import Path
from typing import Any

import numpy as np


def stored_arrays(path: Path) -> dict[str, Any]:
    """Returns all arrays of an .npz file, which is closed again."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
