"""Progress of long work: a tqdm bar on a terminal, a line at least every 5 s in a log.

A log line names the work, units done and in all, elapsed and remaining time, and the rate:

    reading titles  34% 61.4k/180k [03:45<07:15, 273 token/s]

A thread redraws the bar every second, so elapsed time moves even while one unit takes long. A bar
that advances redraws the bars around it, too.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Event, Lock, Thread
from types import TracebackType
from typing import IO, Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

BAR = (
    "{desc} {percentage:3.0f}%|{bar}| "
    "{n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
)
LINE = "{desc} {percentage:3.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
LINE_SECONDS = 4.0  # between two log lines; a redraw later there are at most 5 s
REDRAW_SECONDS = 1.0
FRAME_SECONDS = 0.1  # between two frames on a terminal

_positions: list[int] = []  # line of the terminal that this process draws on, if it shares one

T = TypeVar("T")

Advance = Callable[[float], None]
"""Counts units of work as done; fractions of a unit are fine. `ProgressBar.advance` is one."""


def ignore_progress(_: float) -> None:
    """An `Advance` that shows nothing."""


def share_terminal(position: int, lock: AbstractContextManager[Any]) -> None:
    """Draws every bar of this process on line `position` of the terminal, holding `lock`."""
    tqdm.set_lock(lock)
    _positions[:] = [position]


class ProgressBar:
    """Counts units of work and shows how far it is; use it as a context manager.

    Work that ends within a second shows no bar, and within 4 s writes no line to a log.
    """

    def __init__(
        self, label: str, total: float, unit: str, *, done: float = 0, shown: bool = True
    ) -> None:
        """Starts to count.

        Args:
            label: names the work, e.g. "reading titles".
            total: units in all.
            unit: name of one unit, singular.
            done: units that an earlier, interrupted run did; they do not enter the rate.
            shown: False draws nothing, e.g. in all but one of several processes.
        """
        self._bar = _meter(label, total, unit, done, shown=shown)
        self._figures: dict[str, str] = {}
        self._lock = Lock()
        self._closed = Event()
        self._redrawing = Thread(target=self._redraw, name=f"progress of {label}", daemon=True)

    @property
    def done(self) -> float:
        """Units done, earlier runs included; a bar that is not shown counts none."""
        return float(self._bar.n)

    def advance(self, units: float = 1) -> None:
        """Counts `units` more."""
        self._update(units)
        for bar in tuple(_open_bars):
            if bar is not self:
                bar._update(0)

    def move_to(self, done: float) -> None:
        """Sets the count, for work that is measured in fractions of a unit."""
        self._update(done - self._bar.n)

    def show(self, **figures: str) -> None:
        """Shows `figures` behind the rate, e.g. the last validation metric, until set anew."""
        with self._lock:
            self._figures |= figures
            self._bar.set_postfix(self._figures, refresh=False)

    def __enter__(self) -> Self:
        if not self._bar.disable:
            _open_bars.append(self)
            self._redrawing.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self in _open_bars:
            _open_bars.remove(self)
            self._closed.set()
            self._redrawing.join()
        self._bar.close()

    def _redraw(self) -> None:
        while not self._closed.wait(REDRAW_SECONDS):
            self._update(0)

    def _update(self, units: float) -> None:
        with self._lock:
            self._bar.update(units)


_open_bars: list[ProgressBar] = []  # of this process, outermost first


def counting(work: Callable[[NDArray[np.int64]], T], bar: ProgressBar) -> Callable[..., T]:
    """Wraps `work` on example rows: each call advances `bar` by the number of its rows."""

    def counted(rows: NDArray[np.int64]) -> T:
        result = work(rows)
        bar.advance(len(rows))
        return result

    return counted


def _meter(label: str, total: float, unit: str, done: float, *, shown: bool) -> "tqdm[Any]":
    is_terminal = sys.stderr.isatty()
    log: Any = _LogLines(sys.stderr)
    return tqdm(
        desc=label,
        total=total,
        initial=done,
        unit=unit,
        unit_scale=True,
        disable=not shown,
        miniters=0,  # tqdm's own guess goes silent where work slows down
        bar_format=BAR if is_terminal else LINE,
        file=None if is_terminal else log,
        mininterval=FRAME_SECONDS if is_terminal else LINE_SECONDS,
        delay=REDRAW_SECONDS if is_terminal else LINE_SECONDS,
        position=_positions[0] if is_terminal and _positions else None,
        leave=not (is_terminal and _positions),
    )


class _LogLines:
    """A stream for tqdm that turns each redraw of a bar into a line of `stream`."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        """Writes `text` as one line; carriage returns and blank redraws are dropped."""
        if line := text.strip():
            self.stream.write(f"{line}\n")

    def flush(self) -> None:
        """Flushes `stream`."""
        self.stream.flush()
