"""Files that the commands need: in a checkout where they are edited, in a wheel beside this module.

The wheel carries them under `files/`, at the same paths as a checkout (pyproject.toml).
"""

import shutil
from pathlib import Path

MOVIELENS = Path("configs/movielens.toml")
KNOWLEDGE = Path("assets/movielens/knowledge")
BUNDLE = Path("assets/movielens/bundle")
TERMS = Path("assets/movielens/TERMS.txt")

_HERE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """The root of the repository that this package runs from; None where it is installed."""
    root = _HERE.parent
    return root if (root / "benchmarks").is_dir() and (root / "pyproject.toml").exists() else None


def carried(path: Path) -> Path:
    """The absolute path of a file or folder of the repository that the wheel carries too."""
    return (checkout() or _HERE / "files") / path


def lay_out(path: Path) -> bool:
    """Copies a carried file or folder to the same path in the working folder.

    Returns:
        Whether it was copied: what is there stays as it is.
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
