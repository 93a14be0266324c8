"""Ends a program at a chosen rename, as `kill -9` would, without a process of its own."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "shutil.rmtree"}


class Killed(BaseException):
    """Raised in place of the rename; no `except Exception` may catch it."""


@dataclass
class Kill:
    """A kill in waiting.

    Attributes:
        root: only renames below this folder count.
        renames_left: the number of renames before the kill; None to count them only.
        num_renames: how many were done.
        is_dead: after the kill. Every change of a file is refused then, so that no `finally`
            cleans up what a killed process would have left.
    """

    root: Path
    renames_left: int | None
    num_renames: int = 0
    is_dead: bool = False

    def observe(self, event: str, arguments: tuple[object, ...]) -> None:
        """Sees each operation on files before it is done."""
        if self.is_dead and _changes_files(event, arguments):
            raise Killed
        if event == "os.rename" and str(arguments[0]).startswith(str(self.root)):
            if self.num_renames == self.renames_left:
                self.is_dead = True
                raise Killed
            self.num_renames += 1


@contextmanager
def kill_at_rename(root: Path, renames_left: int | None) -> Iterator[Kill]:
    """Raises Killed before a rename below `root`; the kill ends with the block."""
    global _kill
    _install()
    _kill = Kill(root, renames_left)
    try:
        yield _kill
    finally:
        _kill = None


def _changes_files(event: str, arguments: tuple[object, ...]) -> bool:
    if event == "open":
        return bool(int(str(arguments[2])) & WRITE_FLAGS)
    return event in CHANGES


_kill: Kill | None = None
_is_installed = False


def _observe(event: str, arguments: tuple[object, ...]) -> None:
    if _kill is not None:
        _kill.observe(event, arguments)


def _install() -> None:
    """Adds the one audit hook of this process; hooks cannot be removed."""
    global _is_installed
    if not _is_installed:
        sys.addaudithook(_observe)
        _is_installed = True
