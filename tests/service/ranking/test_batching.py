from collections.abc import Sequence

import pytest

from service.ranking.batching import answer_by_group, answer_together_or_singly


class BatchError(Exception):
    """The failure of a batch."""


def fail(_: Sequence[int]) -> list[int]:
    raise BatchError("too many")


def negative(request: int) -> int:
    return -request


def test_each_group_is_answered_once_and_answers_keep_the_order_of_the_requests() -> None:
    calls: list[tuple[str, list[int]]] = []

    def answer(group: str, requests: Sequence[int]) -> list[int]:
        calls.append((group, list(requests)))
        return [10 * each for each in requests]

    assert answer_by_group([3, 1, 2], ["odd", "odd", "even"], answer) == [30, 10, 20]
    assert calls == [("odd", [3, 1]), ("even", [2])]


@pytest.mark.parametrize("groups", ["aa", "ab"])
def test_a_group_with_too_few_answers_is_an_error(groups: str) -> None:
    with pytest.raises(ValueError, match=r"group 'a': 0 answers to \d requests"):
        answer_by_group([1, 2], groups, lambda _, __: [])


def test_several_requests_are_answered_in_one_call() -> None:
    def sums(requests: Sequence[int]) -> list[int]:
        return [sum(requests)] * len(requests)

    assert answer_together_or_singly([1, 2], sums, negative, OSError) == [3, 3]


def test_after_a_failure_each_request_is_answered_singly_and_the_failure_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert answer_together_or_singly([1, 2], fail, negative, BatchError) == [-1, -2]
    assert "a batch of 2 requests failed, each is answered singly" in caplog.text
    assert "BatchError: too many" in caplog.text


def test_a_single_request_is_never_tried_twice() -> None:
    assert answer_together_or_singly([1], fail, negative, BatchError) == [-1]


def test_an_unexpected_failure_is_raised() -> None:
    with pytest.raises(BatchError):
        answer_together_or_singly([1, 2], fail, negative, OSError)
