"""Shows the progress of long work: a tqdm bar on a terminal, or lines in a log.

A log gets a line at least every 5 s. It names the work, the units done and in total, the elapsed
and the remaining time, and the rate:

    reading titles  34% 61.4k/180k [03:45<07:15, 273 token/s]

The rate is the average since the start, without what an earlier run has done. A thread redraws the
bar every second, so that the elapsed time is right even while one unit takes long. A bar that
advances also redraws the other open bars.
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
# Shortest time between two log lines. A line is written at the next redraw, so at most 5 s after
# the last one.
LINE_SECONDS = 4.0
REDRAW_SECONDS = 1.0
FRAME_SECONDS = 0.1  # shortest time between two frames on a terminal

# The terminal line that this process draws on; empty if it does not share the terminal.
_positions: list[int] = []

T = TypeVar("T")

Advance = Callable[[float], None]
"""A function that counts units of work, or fractions of one, such as `ProgressBar.advance`."""


def ignore_progress(_: float) -> None:
    """Ignores the number of units done: the default of `advance`, for work without a bar."""


def share_terminal(position: int, lock: AbstractContextManager[Any]) -> None:
    """Makes all progress bars of this process draw on one line of a shared terminal.

    Args:
        position: number of the line; each process has its own.
        lock: lock that the processes share; a bar holds it while it draws.
    """
    tqdm.set_lock(lock)
    _positions[:] = [position]


class ProgressBar:
    """A context manager that counts units of work and shows the progress.

    Work that ends within a second shows no bar on a terminal. Work that ends within 4 s writes no
    line to a log.
    """

    def __init__(
        self, label: str, total: float, unit: str, *, done: float = 0, shown: bool = True
    ) -> None:
        """Creates a bar, which is shown only within the `with` block.

        Args:
            label: name of the work, such as "reading titles".
            total: total number of units.
            unit: name of one unit, singular.
            done: units that an earlier, interrupted run has done; they do not count for the rate.
            shown: whether the bar is shown; False for all but one of several processes.
        """
        self._bar = _meter(label, total, unit, done, shown=shown)
        self._figures: dict[str, str] = {}
        self._lock = Lock()
        self._closed = Event()
        self._redrawing = Thread(target=self._redraw, name=f"progress of {label}", daemon=True)

    @property
    def done(self) -> float:
        """Number of units done, those of interrupted runs included.

        The number stays constant if the bar was created with `shown=False`.
        """
        return float(self._bar.n)

    def advance(self, units: float = 1) -> None:
        """Adds `units` to the units done, and redraws the other open bars."""
        self._update(units)
        for bar in tuple(_open_bars):
            if bar is not self:
                bar._update(0)

    def move_to(self, done: float) -> None:
        """Sets the number of units done, for work that reports this number and not single units."""
        self._update(done - self._bar.n)

    def show(self, **figures: str) -> None:
        """Shows `figures`, such as the last validation metric, at the end of the bar.

        A figure stays until another figure of the same name replaces it.
        """
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


_open_bars: list[ProgressBar] = []  # bars of this process that are shown, outermost first


def counting(work: Callable[[NDArray[np.int64]], T], bar: ProgressBar) -> Callable[..., T]:
    """Returns a function that calls `work` on dataset rows, and advances `bar` by their number."""

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
        miniters=0,  # otherwise tqdm skips updates when the work slows down
        smoothing=0,  # otherwise tqdm leaves the time before a redraw without new units out
        bar_format=BAR if is_terminal else LINE,
        file=None if is_terminal else log,
        mininterval=FRAME_SECONDS if is_terminal else LINE_SECONDS,
        delay=REDRAW_SECONDS if is_terminal else LINE_SECONDS,
        position=_positions[0] if is_terminal and _positions else None,
        leave=not (is_terminal and _positions),
    )


class _LogLines:
    """A text stream for a tqdm bar, which writes each redraw as one line to `stream`."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        """Writes `text` as one line without carriage returns; a blank text is dropped."""
        if line := text.strip():
            self.stream.write(f"{line}\n")

    def flush(self) -> None:
        """Flushes `stream`."""
        self.stream.flush()
