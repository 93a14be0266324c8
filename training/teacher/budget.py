"""Which examples a teacher answers when it cannot afford them all."""

from bisect import bisect_right
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import HELD_OUT, Dataset, Split
from training.errors import ConfigError
from training.settings.teacher import TeacherConfig

TokenCount = Callable[[NDArray[np.int64]], int]
"""Example rows, ascending, in; tokens that an LLM reads to answer them, out."""


DRAW = 0  # the same for all teachers, so that of two parts the larger holds the smaller


def refuse_no_examples(config: TeacherConfig) -> None:
    """Refuses settings of a teacher that is fitted to the training examples and may read none.

    Raises:
        ConfigError: it may read none.
    """
    if config.budget_sequences == 0 and config.kind == "retrieval":
        raise ConfigError(
            "teacher.budget_sequences = 0: a retrieval teacher is fitted to the examples it reads"
        )


def answered_rows(
    dataset: Dataset, config: TeacherConfig, count_tokens: TokenCount
) -> NDArray[np.int64]:
    """The held-out examples and as many training examples as the budget allows, ascending.

    The budget is spent on the newest example of every user first, then on the one before it: what
    people want now, and of as many of them as possible. An example beyond it has no list, and a
    student learns it from the data alone.

    Raises:
        ConfigError: `teacher.budget_tokens` allows none.
    """
    train = newest_first(dataset, dataset.example_rows(Split.TRAIN))[: config.budget_sequences]
    if config.budget_tokens is not None and len(train):
        numbers = range(1, len(train) + 1)
        affordable = bisect_right(
            numbers, config.budget_tokens, key=lambda number: count_tokens(np.sort(train[:number]))
        )
        if not affordable:
            raise ConfigError(
                f"teacher.budget_tokens = {config.budget_tokens}: allows no example at all"
            )
        train = train[:affordable]
    held_out = [held_out_rows(dataset, config, split) for split in HELD_OUT]
    return np.sort(np.concatenate([train, *held_out]))


def held_out_rows(
    dataset: Dataset, config: TeacherConfig, split: Split, at_most: int | None = None
) -> NDArray[np.int64]:
    """The examples of a held-out split that are answered, or `at_most` of them, ascending."""
    counts = [each for each in (config.budget_held_out, at_most) if each is not None]
    return _drawn(dataset.example_rows(split), min(counts, default=None), DRAW)


def newest_first(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """`rows` (ascending): each user's newest, then each user's newest but one, and so on."""
    users = dataset.user_of_row[rows]
    newer = np.searchsorted(users, users, side="right") - 1 - np.arange(len(rows))
    return rows[np.argsort(newer, kind="stable")]


def judging_rows(dataset: Dataset, config: TeacherConfig) -> NDArray[np.int64]:
    """The validation examples, ascending, that legs of tuning are judged by."""
    rows = dataset.example_rows(Split.VALIDATION)
    return _drawn(rows, config.tuner.validation_examples, config.seed)


def _drawn(rows: NDArray[np.int64], count: int | None, seed: int) -> NDArray[np.int64]:
    """`count` of `rows` at random, ascending, those of a smaller count among them."""
    order = np.random.default_rng(seed).permutation(len(rows))
    return rows[np.sort(order[:count])]
