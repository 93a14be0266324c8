"""Folders of segments. Each worker has one and keeps it locked as long as its process lives.

A worker locks the file `PATH/NAME/lock`, and writes the segments `PATH/NAME/00000001.log` and so
on. When the process ends, even by a crash, the kernel releases the lock. Another process can then
take over the folder.

In an event log, the name of the segment that a worker still writes ends in `.open`; `seal` changes
the ending to `.log`. A collector reads all `.log` segments. In folders that it has taken over, it
reads `.open` segments too. It removes a segment after storing the content elsewhere.
"""

import fcntl
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_LOCK = "lock"
SEALED, OPEN = ".log", ".open"


def make_folder(parent: Path) -> tuple[Path, int]:
    """Creates a locked folder for this worker.

    Args:
        parent: folder of the folders of all workers.

    Returns:
        The folder, and the file descriptor that keeps it locked while it is open.

    Raises:
        OSError: the folder cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    name = secrets.token_hex(8)
    new, folder = parent / f".{name}", parent / name  # visible to others only when it is locked
    new.mkdir(mode=0o700)
    lock = _lock(new)
    new.rename(folder)
    return folder, lock


def segments_of(folder: Path) -> Sequence[Path]:
    """Returns the paths of the `.log` segments in a worker's folder, oldest first."""
    return sorted(folder.glob(f"*{SEALED}"))


def seal(path: Path) -> Path:
    """Renames a complete segment from `.open` to `.log`; returns its new path."""
    sealed = path.with_suffix(SEALED)
    path.rename(sealed)
    return sealed


def complete_segments(parent: Path, taken: Mapping[Path, int]) -> Sequence[Path]:
    """Returns the paths of an event log's segments that no worker writes any more.

    Segments of the same folder are in their order, oldest first.

    Args:
        parent: folder of the workers' folders.
        taken: the folders that `take_orphans` has locked; their `.open` segments are included.
    """
    found = [path for folder in sorted(parent.glob("[!.]*")) for path in segments_of(folder)]
    left_open = [path for folder in sorted(taken) for path in sorted(folder.glob(f"*{OPEN}"))]
    return [*found, *left_open]


def size_of(parent: Path) -> int:
    """Returns the size of all segments in bytes; `parent` is the folder of the workers' folders."""
    size = 0
    for path in parent.glob("*/*"):
        with suppress(FileNotFoundError):  # replayed meanwhile
            size += path.stat().st_size
    return size


def take_orphans(parent: Path) -> Mapping[Path, int]:
    """Locks the folders of workers that have ended.

    Returns:
        For each of these folders, the file descriptor that keeps it locked while it is open.
    """
    taken = {}
    for folder in parent.glob("[!.]*"):
        with suppress(OSError):  # its worker lives, or another worker has just taken it
            taken[folder] = _lock(folder)
    return taken


def release(folders: Mapping[Path, int]) -> None:
    """Unlocks folders, and removes those that contain only the lock file.

    `folders` has the file descriptor of each folder's lock, which this function closes.
    """
    for folder, lock in folders.items():
        with suppress(OSError):  # another process that took it before has removed it, or will
            if {each.name for each in folder.iterdir()} == {_LOCK}:
                (folder / _LOCK).unlink()
                folder.rmdir()
        os.close(lock)


def _lock(folder: Path) -> int:
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
