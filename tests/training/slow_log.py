"""A log without a terminal, on a clock that only the test moves."""

from itertools import pairwise

import pytest

from training import progress

LONGEST_SILENCE_SECONDS = 5.0


class SlowLog:
    """Standard error that notes the time of each line; `tick` lets time pass."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.lines: list[tuple[float, str]] = []

    def tick(self, seconds: float) -> None:
        """Lets `seconds` pass."""
        self.seconds += seconds

    def write(self, text: str) -> None:
        """Notes each line and when it came."""
        self.lines += [(self.seconds, line) for line in text.splitlines() if line]

    def flush(self) -> None:
        """Does nothing: nothing is buffered."""

    def isatty(self) -> bool:
        """False, as of a file."""
        return False

    def lines_about(self, label: str) -> list[str]:
        """The lines that begin with `label`."""
        return [line for _, line in self.lines if line.startswith(label)]

    def longest_silence(self, since: float = 0.0) -> float:
        """Most seconds without a line, from `since` to now."""
        later_lines = [seconds for seconds, _ in self.lines if seconds > since]
        times = [since, *later_lines, self.seconds]
        return max(later - earlier for earlier, later in pairwise(times))


def assert_counts_rise(lines: list[str]) -> None:
    """Asserts that there are several lines and that each has done more than the one before.

    The last line, written when all is done, may repeat the one before.
    """
    *counts, _ = [float(line.split("%")[0].split()[-1]) for line in lines]
    assert len(counts) > 2, lines
    assert all(earlier < later for earlier, later in pairwise(counts)), lines


def slow_log(monkeypatch: pytest.MonkeyPatch) -> SlowLog:
    """Makes standard error a `SlowLog` and its clock that of every bar, until the test ends."""
    log = SlowLog()
    monkeypatch.setattr("sys.stderr", log)
    monkeypatch.setattr("tqdm.std.time", lambda: log.seconds)
    # The thread that redraws runs on real time, and would hide silent work on a slow machine.
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 3600.0)
    return log
