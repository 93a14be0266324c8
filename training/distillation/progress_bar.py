"""The progress of one training run: a bar on a terminal, now and then a line in a log.

Runs side by side share a terminal: each process is given a place of its own on it.
"""

import sys
from contextlib import AbstractContextManager
from typing import IO, Any

from tqdm import tqdm

BAR = "{desc} {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
LINE = "{desc} {percentage:3.0f}% [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
LINE_SECONDS = 30.0  # between two lines of a log

_places: list[int] = []  # this process' own, if it was given one


def share_terminal(place: int, lock: AbstractContextManager[Any]) -> None:
    """Puts every bar of this process at `place`, drawn while it holds `lock`."""
    tqdm.set_lock(lock)
    _places[:] = [place]


def epochs_bar(label: str, num_epochs: int, *, done: int = 0, shown: bool = True) -> "tqdm[Any]":
    """A bar that counts epochs, parts of them too; those `done` before tell nothing of its rate."""
    if not sys.stderr.isatty():
        log: Any = Lines(sys.stderr)
        return tqdm(
            desc=label,
            disable=not shown,
            total=num_epochs,
            initial=done,
            unit="epoch",
            bar_format=LINE,
            file=log,
            mininterval=LINE_SECONDS,
        )
    return tqdm(
        desc=label,
        disable=not shown,
        total=num_epochs,
        initial=done,
        unit="epoch",
        bar_format=BAR,
        position=_places[0] if _places else None,
        leave=not _places,
    )


class Lines:
    """What a bar writes over and over, each time as a line of its own."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        """Writes what there is to read in `text`."""
        if line := text.strip():
            self.stream.write(f"{line}\n")

    def flush(self) -> None:
        """Hands it on."""
        self.stream.flush()
