"""Requests that wait are counted once each."""

from service.stores.waiting_requests import WaitingRequests, counted_already


def test_a_request_counts_while_it_waits() -> None:
    waiting = WaitingRequests()
    with waiting:
        assert waiting.number == 1
    assert waiting.number == 0


def test_a_request_that_is_counted_already_is_left_out() -> None:
    waiting = WaitingRequests()
    with waiting, counted_already(), waiting, waiting:
        assert waiting.number == 1
    assert waiting.number == 0
