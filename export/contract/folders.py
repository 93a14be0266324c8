"""Folders and files that are replaced as a whole. Standard library only.

Everything this project writes for others to read is built beside its target and renamed. A process
killed at any moment leaves the old result or the new one, complete, and nothing is lost.

A file takes one rename. A folder cannot be renamed onto another one, so it takes three:

1. `NAME` becomes `.NAME.replaced`,
2. `.NAME.building`, complete, becomes `NAME`,
3. `.NAME.replaced` becomes `.NAME.removed`, which is deleted.

Between 1 and 2 only `.NAME.replaced` exists. Readers find it through `readable_folder`; the program
that writes `NAME` puts it back first, with `finish_replacement`. Step 3 renames before it deletes,
so `.NAME.replaced` is complete wherever it exists.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder to fill; on success it replaces `folder`, on failure it is removed.

    A symbolic link at `folder` stays a link; what it points to is replaced.
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
    """The folder to read: `folder`, or its predecessor while a replacement is between renames.

    A killed replacement stays between renames until `finish_replacement` or the next one.
    """
    if folder.exists():
        return folder
    replaced = _beside(folder.resolve(), "replaced")
    return replaced if replaced.exists() else folder


def finish_replacement(folder: Path) -> None:
    """Ends a replacement of `folder` that was killed: puts the predecessor back, or removes it.

    It goes back where its successor is not in place. Only for the program that writes `folder`:
    for another one, the replacement might still go on.
    """
    folder = folder.resolve()
    predecessor = readable_folder(folder)
    if predecessor != folder:
        predecessor.rename(folder)
    _remove_predecessor(folder)
    shutil.rmtree(_beside(folder, "building"), ignore_errors=True)


def folder_identity(folder: Path) -> tuple[int, int] | None:
    """Inode and change time, which differ between a folder and its successor; None if missing."""
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
