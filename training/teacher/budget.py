"""Selects the examples that a teacher answers, within its budget."""

from bisect import bisect_right
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import HELD_OUT, Dataset, Split
from training.errors import ConfigError
from training.settings.teacher import TeacherConfig

TokenCount = Callable[[NDArray[np.int64]], int]
"""Function from dataset rows of examples, ascending, to the number of tokens of their prompts."""

# Random seed of held-out samples: the same for all teachers, so that a larger sample contains every
# smaller one.
HELD_OUT_SEED = 0


def refuse_no_examples(config: TeacherConfig) -> None:
    """Refuses a budget of 0 training examples for a retrieval teacher, which is fitted to them.

    Raises:
        ConfigError: a retrieval teacher has `budget_sequences = 0`.
    """
    if config.budget_sequences == 0 and config.kind == "retrieval":
        raise ConfigError(
            "teacher.budget_sequences = 0: a retrieval teacher is fitted to training examples, "
            "so it must be at least 1"
        )


def answered_rows(
    dataset: Dataset, config: TeacherConfig, count_tokens: TokenCount
) -> NDArray[np.int64]:
    """Selects the examples that the teacher answers; returns dataset rows, ascending.

    These are the held-out examples of `held_out_rows`, and as many training examples as the budget
    allows. The newest example of every user is selected first, then the second newest, and so on.
    So the budget covers the current interests of as many users as possible. A training example
    beyond the budget has no ranking list; a student learns only its next item.

    Args:
        dataset: the dataset.
        config: the teacher's settings, with its budget in sequences and in tokens.
        count_tokens: counts the tokens that the LLM reads for the given examples.

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
    """Draws examples of a held-out split at random; returns their dataset rows, ascending.

    The number of examples is limited by `config.budget_held_out` and by `at_most`. None means no
    limit. Equal arguments draw equal rows.
    """
    counts = [each for each in (config.budget_held_out, at_most) if each is not None]
    return _sample(dataset.example_rows(split), min(counts, default=None), HELD_OUT_SEED)


def newest_first(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorts dataset rows: first the newest row of each user, then the second newest, and so on.

    `rows` must be ascending.
    """
    users = dataset.user_of_row[rows]
    newer = np.searchsorted(users, users, side="right") - 1 - np.arange(len(rows))
    return rows[np.argsort(newer, kind="stable")]


def tuning_validation_rows(dataset: Dataset, config: TeacherConfig) -> NDArray[np.int64]:
    """Draws at random the validation examples that the tuning of the LLM is evaluated on.

    Returns at most `config.tuner.validation_examples` dataset rows, ascending.
    """
    rows = dataset.example_rows(Split.VALIDATION)
    return _sample(rows, config.tuner.validation_examples, config.seed)


def _sample(rows: NDArray[np.int64], count: int | None, seed: int) -> NDArray[np.int64]:
    """Draws `count` of `rows` at random; returns them ascending. If `count` is None, draws all.

    With the same seed, a smaller count draws a subset of a larger one.
    """
    order = np.random.default_rng(seed).permutation(len(rows))
    return rows[np.sort(order[:count])]
