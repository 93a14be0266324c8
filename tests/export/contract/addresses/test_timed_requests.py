"""Requests that hang: bounded in time and number, and tried again after a while."""

import threading
from collections.abc import Iterator

import pytest

from export.contract.addresses import timed_requests
from export.contract.addresses.timed_requests import TimedRequests
from tests.conftest import TIMEOUT_SECONDS


class Clock:
    """A time that a test sets."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Store:
    """A store that hangs until it is `mended`, and the requests to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.mended = threading.Event()
        self.requests = TimedRequests(self.clock)
        self._monkeypatch = monkeypatch

    def ask(self) -> bool:
        return self.requests.call(lambda: self.mended.wait(TIMEOUT_SECONDS))

    def hang(self, times: int) -> None:
        with self._monkeypatch.context() as hasty:
            hasty.setattr(timed_requests, "_REQUEST_SECONDS", 0.01)
            for _ in range(times):
                with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
                    self.ask()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    store = Store(monkeypatch)
    yield store
    store.mended.set()


def test_after_eight_hanging_requests_the_next_is_refused_and_told_when_one_is_tried(
    store: Store,
) -> None:
    store.hang(8)
    store.clock.seconds = 18
    for _ in range(3):
        with pytest.raises(TimeoutError, match=r"8 requests before .* is tried in 42 s, or"):
            store.ask()


def test_one_more_is_let_through_after_a_minute_then_two_then_at_most_an_hour(
    store: Store,
) -> None:
    store.hang(8)
    for pause in (60, 120, 240, 480, 960, 1_920, 3_600, 3_600):
        store.clock.seconds += pause - 1
        with pytest.raises(TimeoutError, match="is tried in 1 s"):
            store.ask()
        store.clock.seconds += 1
        store.hang(1)


def test_a_store_that_answers_again_is_read_without_pauses_though_old_requests_hang(
    store: Store,
) -> None:
    store.hang(8)
    store.clock.seconds = 60
    assert [store.requests.call(lambda: "read") for _ in range(20)] == ["read"] * 20


def test_requests_that_end_late_give_their_places_back(store: Store) -> None:
    before = threading.enumerate()
    store.hang(8)
    store.clock.seconds = 60
    store.hang(1)
    store.mended.set()
    for thread in threading.enumerate():
        if thread not in before:
            thread.join()
    assert store.ask()
    store.mended.clear()
    store.hang(8)
    with pytest.raises(TimeoutError, match="8 requests before"):
        store.ask()


def test_a_file_is_closed_though_eight_requests_hang(store: Store) -> None:
    closed: list[bool] = []
    store.hang(8)
    store.requests.call_last(lambda: closed.append(True))
    assert closed == [True]


def test_a_file_that_cannot_be_closed_or_hangs_while_it_is_closed_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    def fail() -> None:
        asked.set()
        raise OSError("gone")

    store.requests.call_last(fail)
    assert asked.is_set()

    monkeypatch.setattr(timed_requests, "_REQUEST_SECONDS", 0.01)
    store.requests.call_last(lambda: store.mended.wait(TIMEOUT_SECONDS))
    assert not store.mended.is_set()
