"""Replaces folders and files as a whole. Imports the standard library only.

Every result that another program reads is first written beside its target and then renamed. A
process that is killed at any moment therefore leaves the old result or the new one, complete.

Replacing a file takes one rename. A folder cannot be renamed onto an existing folder. Replacing the
folder `NAME` therefore takes three renames:

1. `NAME` becomes `.NAME.replaced`,
2. `.NAME.building`, complete, becomes `NAME`,
3. `.NAME.replaced` becomes `.NAME.removed`, which is deleted.

Between steps 1 and 2 only `.NAME.replaced` exists. Readers find it through `readable_folder`. If
the process was killed between them, the next program that writes `NAME` first restores the folder
with `finish_replacement`. Step 3 renames before it deletes, so `.NAME.replaced` is always complete.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Context manager that yields an empty folder to fill, which then replaces `folder`.

    If the block raises, `folder` stays as it was. If `folder` is a symbolic link, the link stays
    and its target is replaced.
    """
    folder = folder.resolve()
    building = _beside(folder, "building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        yield building
        _replace(folder, building)
    finally:
        shutil.rmtree(building, ignore_errors=True)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Context manager that yields a new file to write, which then replaces the file `path`.

    If the block raises, the file `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name.removeprefix('.')}.partial")
    with partial.open("wb") as file:
        yield file
    partial.replace(path)


def readable_folder(folder: Path) -> Path:
    """Returns the folder that has the content of `folder`, even during its replacement.

    The result is `folder` if it exists, else its predecessor `.NAME.replaced` if it exists, else
    `folder`. For a moment in a replacement, only the predecessor exists. If the process is killed
    at that moment, only the predecessor exists until `finish_replacement` or the next replacement.
    """
    if folder.exists():
        return folder
    replaced = _beside(folder.resolve(), "replaced")
    return replaced if replaced.exists() else folder


def finish_replacement(folder: Path) -> None:
    """Cleans up after a replacement of `folder` whose process was killed.

    If `folder` does not exist, its predecessor is restored; otherwise the predecessor is removed.
    Only the program that writes `folder` may call this, since other programs cannot know whether a
    replacement is running.
    """
    folder = folder.resolve()
    predecessor = readable_folder(folder)
    if predecessor != folder:
        predecessor.rename(folder)
    _remove_predecessor(folder)
    shutil.rmtree(_beside(folder, "building"), ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Context manager that holds an exclusive lock on `folder`, after waiting for it.

    The system releases the lock if the process is killed. On Windows, nothing is locked.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where the service does not run either
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def folder_identity(folder: Path) -> tuple[int, int] | None:
    """Returns a folder's inode and change time in ns; a folder that replaces it has other values.

    Returns None if the folder does not exist.
    """
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_ctime_ns


def _replace(folder: Path, successor: Path) -> None:
    if folder.exists():
        _remove_predecessor(folder)
        folder.rename(_beside(folder, "replaced"))
    successor.rename(folder)
    _remove_predecessor(folder)


def _remove_predecessor(folder: Path) -> None:
    replaced, removed = _beside(folder, "replaced"), _beside(folder, "removed")
    shutil.rmtree(removed, ignore_errors=True)
    if replaced.exists():
        replaced.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)


def _beside(folder: Path, role: str) -> Path:
    return folder.with_name(f".{folder.name}.{role}")
