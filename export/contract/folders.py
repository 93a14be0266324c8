"""Replaces folders and files as a whole. Imports the standard library only.

Every result that another program reads is first written next to its target and then renamed. A
process that is killed at any moment therefore leaves the old result or the new one, complete.

A file takes one rename. A folder cannot be renamed onto an existing one, so it takes three renames:

1. `NAME` becomes `.NAME.replaced`,
2. `.NAME.building`, complete, becomes `NAME`,
3. `.NAME.replaced` becomes `.NAME.removed`, which is deleted.

Between steps 1 and 2 only `.NAME.replaced` exists. Readers find it through `readable_folder`. If
the process was killed there, the next program that writes `NAME` first restores it with
`finish_replacement`. Step 3 renames before it deletes, so `.NAME.replaced` is always complete.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder to fill; on success it replaces `folder`, on failure it is removed.

    If `folder` is a symbolic link, the link stays and its target is replaced.
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
    """Yields a file to write; on success it replaces `path`, on failure `path` stays as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name.removeprefix('.')}.partial")
    with partial.open("wb") as file:
        yield file
    partial.replace(path)


def readable_folder(folder: Path) -> Path:
    """Returns the folder to read: `folder`, or its predecessor if a replacement is half done.

    A replacement is half done while it runs, or for longer if its process was killed: then until
    `finish_replacement` or the next replacement. If neither exists, `folder` is returned.
    """
    if folder.exists():
        return folder
    replaced = _beside(folder.resolve(), "replaced")
    return replaced if replaced.exists() else folder


def finish_replacement(folder: Path) -> None:
    """Cleans up after a replacement of `folder` whose process was killed.

    The predecessor is restored if no successor is in place, and removed otherwise. Only the program
    that writes `folder` may call this: to any other program, the replacement may still be running.
    """
    folder = folder.resolve()
    predecessor = readable_folder(folder)
    if predecessor != folder:
        predecessor.rename(folder)
    _remove_predecessor(folder)
    shutil.rmtree(_beside(folder, "building"), ignore_errors=True)


def folder_identity(folder: Path) -> tuple[int, int] | None:
    """Returns inode and change time, by which a folder and its successor differ; None if absent."""
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
