"""Folders of journals: one of each worker, which holds a lock on it for as long as it lives.

`JOURNAL_PATH/NAME/lock` is locked by its worker, `JOURNAL_PATH/NAME/00000001.log` and so on are its
segments. When a worker ends, however it ends, the kernel releases the lock, and another worker may
take the folder over.
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
    """Makes a folder for this worker; returns it and the descriptor that keeps it locked.

    Raises:
        OSError: it cannot be made.
    """
    journal.mkdir(parents=True, exist_ok=True)
    name = secrets.token_hex(8)
    new, folder = journal / f".{name}", journal / name  # visible to others only when it is locked
    new.mkdir(mode=0o700)
    lock = _lock(new)
    new.rename(folder)
    return folder, lock


def segments_of(folder: Path) -> Sequence[Path]:
    """Returns the segments of a folder, oldest first."""
    return sorted(folder.glob(_SEGMENTS))


def size_of(journal: Path) -> int:
    """Returns the bytes of all files in all folders."""
    size = 0
    for path in journal.glob("*/*"):
        with suppress(FileNotFoundError):  # replayed meanwhile
            size += path.stat().st_size
    return size


def take_orphans(journal: Path) -> Mapping[Path, int]:
    """Locks the folders whose workers have ended; returns them with their locks' descriptors."""
    taken = {}
    for folder in journal.glob("[!.]*"):
        with suppress(OSError):  # its worker lives, or another worker has just taken it
            taken[folder] = _lock(folder)
    return taken


def release(folders: Mapping[Path, int]) -> None:
    """Unlocks folders, and removes those without segments."""
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
