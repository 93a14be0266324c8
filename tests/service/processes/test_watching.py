"""The times after which the supervisor replaces or kills a worker, by a clock that tests move."""

import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import pytest

from service.processes import supervised, supervisor
from service.processes.supervisor import Supervisor

DRAIN_SECONDS = 0.5
START_SECONDS = 60.0


class FakeProcess:
    """A worker process, which sends beats and ends at SIGTERM, unless it hangs."""

    def __init__(self, clock: "Clock", beats: Connection) -> None:
        self.pid = len(clock.processes)
        self.is_hung = self.pid in clock.never_serving
        self.ended_at: float | None = None
        self._clock, self._beats = clock, beats

    @property
    def exitcode(self) -> int | None:
        return 0 if self.ended_at else None

    def start(self) -> None:
        self._beats = Connection(os.dup(self._beats.fileno()))  # the parent closes its own
        self._clock.processes.append(self)

    def is_alive(self) -> bool:
        return self.ended_at is None

    def beat(self) -> None:
        if self.is_alive() and not self.is_hung:
            self._beats.send_bytes(b"")

    def terminate(self) -> None:
        if not self.is_hung:
            self.kill()

    def kill(self) -> None:
        if self.is_alive():
            self.ended_at = self._clock.now
            self._beats.close()

    def join(self) -> None:
        assert not self.is_alive()


class Clock:
    """The time of a supervisor and of its workers, and what happens at which time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.processes: list[FakeProcess] = []
        self.never_serving: set[int] = set()
        self._events: dict[float, Callable[[], None]] = {}

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for each in self.processes:
            each.beat()
        for due in [each for each in self._events if each <= self.now]:
            self._events.pop(due)()

    def at(self, seconds: float, happens: Callable[[], None]) -> None:
        self._events[self.now + seconds] = happens

    def hang(self, number: int) -> None:
        self.processes[number].is_hung = True

    def pass_unnoticed(self, seconds: float) -> None:
        """Moves the time while neither the supervisor nor a worker runs."""
        self.now += seconds

    def run(self, seconds: float) -> None:
        """Runs a supervisor of two workers, which gets SIGTERM after `seconds`."""
        self.at(seconds, lambda: signal.raise_signal(signal.SIGTERM))
        listener = SimpleNamespace(close=lambda: None)
        config: Any = SimpleNamespace(workers=2, bind_socket=lambda: listener)
        Supervisor(config, DRAIN_SECONDS, START_SECONDS).run()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock of the supervisors that the test runs."""
    clock = Clock()

    def process(target: object, args: tuple[object, object, Connection]) -> FakeProcess:  # noqa: ARG001
        return FakeProcess(clock, args[2])

    monkeypatch.setattr(supervisor, "time", clock)
    monkeypatch.setattr(supervised, "time", clock)
    monkeypatch.setattr(supervised, "_processes", SimpleNamespace(Pipe=Pipe, Process=process))
    handlers = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield clock
    for each, handler in handlers.items():
        signal.signal(each, handler)


def test_a_worker_that_hangs_is_replaced_within_5_s_and_the_other_stays(clock: Clock) -> None:
    clock.at(10, lambda: clock.hang(0))
    clock.run(30)
    hung, other, new = (each.ended_at for each in clock.processes)
    assert hung == about(113.5)  # 3.5 s without a beat
    assert other == new == about(130)


def test_a_worker_that_ends_is_replaced_at_once_and_the_other_stays(clock: Clock) -> None:
    clock.at(10, lambda: clock.processes[1].kill())
    clock.run(11)
    other, ended, new = (each.ended_at for each in clock.processes)
    assert ended == about(110)
    assert other == new == about(111)


def test_a_worker_that_does_not_serve_is_replaced_after_the_time_for_a_start(clock: Clock) -> None:
    clock.never_serving = {0}
    clock.run(70)
    silent, other, new = (each.ended_at for each in clock.processes)
    assert silent == about(160)
    assert other == new == about(170)


def test_workers_are_not_blamed_for_time_in_which_the_supervisor_was_stopped_too(
    clock: Clock,
) -> None:
    clock.at(10, lambda: clock.pass_unnoticed(3_600))
    clock.run(20)
    assert len(clock.processes) == 2


def test_a_worker_that_hangs_at_sigterm_is_killed_within_2_s_after_the_drain(clock: Clock) -> None:
    clock.at(9, lambda: clock.hang(0))
    clock.run(10)
    hung, other = (each.ended_at for each in clock.processes)
    assert other == about(110)
    assert hung == about(110 + DRAIN_SECONDS + 1.75)


def about(seconds: float) -> object:
    """Compares with a time that the supervisor sees at its next ticks."""
    return pytest.approx(seconds, abs=0.2)
