"""The budget of a teacher: selects the examples that it answers."""

from bisect import bisect_right
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import HELD_OUT, Dataset, Split
from training.errors import ConfigError
from training.settings.teacher import TeacherConfig

TokenCount = Callable[[NDArray[np.int64]], int]
"""Example rows (ascending) in, tokens that an LLM reads to answer them out."""

HELD_OUT_SEED = 0  # equal for all teachers, so that a larger sample contains the smaller ones


def refuse_no_examples(config: TeacherConfig) -> None:
    """Refuses a budget of 0 for a teacher that is fitted to training examples.

    Raises:
        ConfigError: a retrieval teacher has `budget_sequences = 0`.
    """
    if config.budget_sequences == 0 and config.kind == "retrieval":
        raise ConfigError(
            "teacher.budget_sequences = 0: a retrieval teacher is fitted to the examples it reads"
        )


def answered_rows(
    dataset: Dataset, config: TeacherConfig, count_tokens: TokenCount
) -> NDArray[np.int64]:
    """Selects the held-out examples and the training examples within the budget, ascending.

    The budget is spent on the newest example of every user first, then on the one before it. So
    it covers current tastes of as many users as possible. An example beyond the budget has no
    teacher list; a student learns it from the interactions only.

    Raises:
        ConfigError: `teacher.budget_tokens` is too small for a single example.
    """
    train = newest_first(dataset, dataset.example_rows(Split.TRAIN))[: config.budget_sequences]
    if config.budget_tokens is not None and len(train):
        numbers = range(1, len(train) + 1)
        affordable = bisect_right(
            numbers, config.budget_tokens, key=lambda number: count_tokens(np.sort(train[:number]))
        )
        if not affordable:
            raise ConfigError(
                f"teacher.budget_tokens = {config.budget_tokens}: allows no example; raise it"
            )
        train = train[:affordable]
    held_out = [held_out_rows(dataset, config, split) for split in HELD_OUT]
    return np.sort(np.concatenate([train, *held_out]))


def held_out_rows(
    dataset: Dataset, config: TeacherConfig, split: Split, at_most: int | None = None
) -> NDArray[np.int64]:
    """Selects the answered examples of a held-out split, at most `at_most`, ascending."""
    counts = [each for each in (config.budget_held_out, at_most) if each is not None]
    return _sample(dataset.example_rows(split), min(counts, default=None), HELD_OUT_SEED)


def newest_first(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorts `rows` (ascending): each user's newest, then each user's second newest, and so on."""
    users = dataset.user_of_row[rows]
    newer = np.searchsorted(users, users, side="right") - 1 - np.arange(len(rows))
    return rows[np.argsort(newer, kind="stable")]


def tuning_validation_rows(dataset: Dataset, config: TeacherConfig) -> NDArray[np.int64]:
    """Selects the validation examples that tuning is evaluated on, ascending."""
    rows = dataset.example_rows(Split.VALIDATION)
    return _sample(rows, config.tuner.validation_examples, config.seed)


def _sample(rows: NDArray[np.int64], count: int | None, seed: int) -> NDArray[np.int64]:
    """Draws `count` of `rows` at random, ascending; a smaller count draws a subset."""
    order = np.random.default_rng(seed).permutation(len(rows))
    return rows[np.sort(order[:count])]
