"""Progress of long work, on a terminal and in a log."""

import io
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import TIMEOUT_SECONDS
from tests.training.slow_log import LONGEST_SILENCE_SECONDS, slow_log
from training import progress
from training.progress import ProgressBar, counting


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("seconds", [0.001, 0.3, 1.0])
def test_a_log_is_never_silent_for_longer_than_five_seconds_while_work_advances(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    log = slow_log(monkeypatch)

    with ProgressBar("reading", round(40 / seconds), "batch") as bar:
        for _ in range(round(40 / seconds)):
            log.tick(seconds)
            bar.advance()

    assert log.longest_silence() <= LONGEST_SILENCE_SECONDS
    assert len(log.lines) < 12


def test_a_log_is_not_silent_where_work_slows_down_a_thousandfold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = slow_log(monkeypatch)

    with ProgressBar("reading", 10_020, "batch") as bar:
        for seconds in [0.001] * 10_000 + [1.0] * 20:
            log.tick(seconds)
            bar.advance()

    assert log.longest_silence() <= LONGEST_SILENCE_SECONDS


def test_a_log_line_names_the_work_its_count_its_times_and_its_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = slow_log(monkeypatch)

    with ProgressBar("reading titles", 180_000, "token") as bar:
        log.tick(60)
        bar.show(best="0.0812")
        bar.advance(18_000)
        first_line = log.lines[0][1]

    assert first_line == ("reading titles  10% 18.0k/180k [01:00<09:00, 300token/s, best=0.0812]")


def test_redraws_while_one_unit_takes_long_do_not_change_its_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = slow_log(monkeypatch)

    with ProgressBar("answering", 1000, "request") as bar:
        for _ in range(8):
            log.tick(5)
            bar.advance(0)  # as the thread does
        bar.advance(100)
        log.tick(5)
        bar.advance(0)

    assert (
        log.lines_about("answering  10%")[0]
        == "answering  10% 100/1.00k [00:45<06:45, 2.22request/s]"
    )


def test_work_of_an_interrupted_run_is_counted_and_does_not_enter_the_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = slow_log(monkeypatch)

    with ProgressBar("reading", 100, "batch", done=50) as bar:
        log.tick(10)
        bar.advance(10)
        assert bar.done == 60

    assert log.lines[0][1] == "reading  60% 60.0/100 [00:10<00:40, 1.00batch/s]"


def test_work_of_a_moment_writes_nothing_to_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    log = slow_log(monkeypatch)

    with ProgressBar("answering", 1, "batch") as bar:
        log.tick(1)
        bar.advance()

    assert log.lines == []


def test_the_last_line_of_a_log_says_that_all_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    log = slow_log(monkeypatch)

    with ProgressBar("reading", 6, "batch") as bar:
        for _ in range(6):
            log.tick(1)
            bar.advance()

    assert log.lines[-1][1].startswith("reading 100% 6.00/6.00")


def test_a_bar_that_is_not_shown_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    log = slow_log(monkeypatch)

    with ProgressBar("reading", 60, "batch", shown=False) as bar:
        for _ in range(60):
            log.tick(1)
            bar.advance()

    assert log.lines == []


def test_elapsed_time_moves_while_one_unit_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.02)
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.01)

    with ProgressBar("writing", 1, "batch"):
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while log.getvalue().count("writing   0%") < 3 and time.monotonic() < deadline:
            time.sleep(0.01)

    assert log.getvalue().count("writing   0%") >= 3


def test_short_bars_inside_a_long_one_do_not_silence_it(monkeypatch: pytest.MonkeyPatch) -> None:
    log = slow_log(monkeypatch)

    with ProgressBar("tuning", 10, "leg") as tuning:
        for _ in range(10):
            with ProgressBar("validating", 3, "batch") as validating:
                for _ in range(3):
                    log.tick(1)
                    validating.advance()
            tuning.advance()

    assert log.longest_silence() <= LONGEST_SILENCE_SECONDS
    assert log.lines_about("tuning  10%")


def test_a_terminal_gets_one_bar_that_is_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.01)
    monkeypatch.setattr(progress, "FRAME_SECONDS", 0.01)

    with ProgressBar("reading", 3, "batch") as bar:
        for _ in range(3):
            time.sleep(0.02)
            bar.advance()

    frames = terminal.getvalue().split("\r")
    assert len(frames) > 2
    assert "100%|" in frames[-1]
    assert terminal.getvalue().count("\n") == 1


def test_counted_work_advances_its_bar_by_the_rows_of_each_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow_log(monkeypatch)

    def doubled(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return 2 * rows

    with ProgressBar("ranking", 5, "example") as bar:
        assert counting(doubled, bar)(np.arange(3)).tolist() == [0, 2, 4]
        assert bar.done == 3
