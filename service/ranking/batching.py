"""Answers requests in batches, one batch per group; answers them one by one if a batch fails."""

import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

logger = logging.getLogger(__name__)

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Group = TypeVar("Group", bound=Hashable)


def answer_by_group(
    requests: Sequence[Request],
    groups: Sequence[Group],
    answer: Callable[[Group, Sequence[Request]], Iterable[Answer]],
) -> list[Answer]:
    """Calls `answer` once for each group and returns the answers in the order of `requests`.

    Args:
        requests: the requests to answer, at least one.
        groups: `[requests]`, the key of each request's group; equal keys form one group.
        answer: takes the key of a group and its requests; returns one answer per request, in order.

    Raises:
        ValueError: `answer` returned too few or too many answers.
    """
    if len(set(groups)) == 1:  # the common case, which needs no sorting
        return _checked_answers(answer, groups[0], requests)
    positions: dict[Group, list[int]] = defaultdict(list)
    for position, group in enumerate(groups):
        positions[group].append(position)
    answers: dict[int, Answer] = {}
    for group, members in positions.items():
        of_group = _checked_answers(answer, group, [requests[position] for position in members])
        answers.update(zip(members, of_group, strict=True))
    return [answers[position] for position in range(len(requests))]


def answer_together_or_singly(
    requests: Sequence[Request],
    answer_all: Callable[[Sequence[Request]], Sequence[Answer]],
    answer_one: Callable[[Request], Answer],
    failure: type[Exception],
) -> Sequence[Answer]:
    """Answers all requests in one call; if this fails, logs the error and answers them singly.

    So a request that makes the batch fail does not make the others fail. A single request is passed
    to `answer_one` directly, so it is never answered twice.

    Args:
        requests: the requests to answer.
        answer_all: answers several requests at once; returns one answer per request, in order.
        answer_one: answers one request; its errors are not caught.
        failure: the type of errors of `answer_all` after which requests are answered one by one.
            Other errors are not caught.
    """
    if len(requests) > 1:
        try:
            return answer_all(requests)
        except failure:
            logger.exception(
                "a batch of %d requests failed, each is answered singly", len(requests)
            )
    return [answer_one(each) for each in requests]


def _checked_answers(
    answer: Callable[[Group, Sequence[Request]], Iterable[Answer]],
    group: Group,
    requests: Sequence[Request],
) -> list[Answer]:
    answers = list(answer(group, requests))
    if len(answers) != len(requests):
        raise ValueError(f"group {group!r}: {len(answers)} answers to {len(requests)} requests")
    return answers
