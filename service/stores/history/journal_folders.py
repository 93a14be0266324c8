"""Folders of journals: each worker has one, and keeps it locked as long as its process lives.

A worker locks the file `JOURNAL_PATH/NAME/lock`, and writes the segments
`JOURNAL_PATH/NAME/00000001.log` and so on. When the process ends, even by a crash, the kernel
releases the lock. Another worker can then take the folder over.
"""

import fcntl
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_LOCK = "lock"
_SEGMENTS = "*.log"


def make_folder(journal: Path) -> tuple[Path, int]:
    """Makes a locked folder for this worker.

    Args:
        journal: folder of the journals of all workers.

    Returns:
        The folder, and the file descriptor that keeps it locked while it is open.

    Raises:
        OSError: the folder cannot be made.
    """
    journal.mkdir(parents=True, exist_ok=True)
    name = secrets.token_hex(8)
    new, folder = journal / f".{name}", journal / name  # visible to others only when it is locked
    new.mkdir(mode=0o700)
    lock = _lock(new)
    new.rename(folder)
    return folder, lock


def segments_of(folder: Path) -> Sequence[Path]:
    """Returns the paths of the segments in a worker's folder, oldest first."""
    return sorted(folder.glob(_SEGMENTS))


def size_of(journal: Path) -> int:
    """Returns the size of the journals of all workers in bytes; `journal` is their folder."""
    size = 0
    for path in journal.glob("*/*"):
        with suppress(FileNotFoundError):  # replayed meanwhile
            size += path.stat().st_size
    return size


def take_orphans(journal: Path) -> Mapping[Path, int]:
    """Locks the folders of workers that have ended.

    Returns:
        For each of these folders, the file descriptor that keeps it locked while it is open.
    """
    taken = {}
    for folder in journal.glob("[!.]*"):
        with suppress(OSError):  # its worker lives, or another worker has just taken it
            taken[folder] = _lock(folder)
    return taken


def release(folders: Mapping[Path, int]) -> None:
    """Unlocks folders, and removes those that have no segment and no damaged file.

    `folders` has the file descriptor of each folder's lock.
    """
    for folder, lock in folders.items():
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
