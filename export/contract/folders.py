"""A folder that is replaced as a whole, and can be read meanwhile. Standard library only."""

import shutil
from pathlib import Path


def replace_folder(folder: Path, successor: Path) -> None:
    """Puts `successor` in the place of `folder`; a kill midway leaves one of them to be found."""
    aside = _aside(folder)
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    successor.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def standing_folder(folder: Path) -> Path:
    """Where to read: the old folder, set aside, if a replacement is, or was killed, midway."""
    return folder if folder.exists() or not _aside(folder).exists() else _aside(folder)


def folder_identity(folder: Path) -> tuple[int, int] | None:
    """What differs between a folder and its successor; None if there is none."""
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_ctime_ns


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")
