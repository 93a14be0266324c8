"""Locates the files of the repository that commands need, in a checkout or in an installed wheel.

The wheel contains them in the folder `files/` next to this module, at the same paths as in a
checkout (see pyproject.toml).
"""

import shutil
from pathlib import Path

MOVIELENS = Path("configs/movielens.toml")
KNOWLEDGE = Path("assets/movielens/knowledge")
BUNDLE = Path("assets/movielens/bundle")
TERMS = Path("assets/movielens/TERMS.txt")

_HERE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """Returns the root of the checkout that this package runs from; None if it is installed."""
    root = _HERE.parent
    return root if (root / "benchmarks").is_dir() and (root / "pyproject.toml").exists() else None


def carried(path: Path) -> Path:
    """Returns the absolute path of a file or folder in the checkout or the wheel.

    `path` is relative to the root of the repository.
    """
    return (checkout() or _HERE / "files") / path


def lay_out(path: Path) -> bool:
    """Copies a file or folder of the checkout or the wheel to `path` in the working folder.

    Returns:
        True if it was copied. False if `path` exists, which is then not changed.
    """
    if path.exists():
        return False
    building = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    source = carried(path)
    if source.is_dir():
        shutil.rmtree(building, ignore_errors=True)
        shutil.copytree(source, building)
    else:
        shutil.copyfile(source, building)
    building.rename(path)
    return True
