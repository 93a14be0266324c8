"""Compares a graph's results after one history with the model's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.parity.histories import History
from training.data.catalog import PADDING_INDEX

MAX_SCORE_ERROR = 1e-4  # for scores up to LARGE_SCORE
LARGE_SCORE = 10.0  # beyond it the allowed error grows with the scores, as their rounding does


@dataclass(frozen=True)
class SingleRanking:
    """A graph's best unseen items after one history, with their scores.

    Attributes:
        items: `[LIST_LENGTH]`, item indices, best first. There are fewer if the catalog is smaller,
            or if the common-case graph could not prove all positions.
        scores: `[LIST_LENGTH]`, the scores of `items`.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class Comparison:
    """The differences between a graph and its model (`Reference`) after one history.

    Attributes:
        name: name of the history, and how the graph was run on it, for messages.
        history: the history's item indices, oldest first.
        score_error: largest absolute difference between the scores of an item by graph and model.
        largest_score: largest absolute score of an item by the model.
        list_error: largest absolute difference between the model's scores of the two items that the
            top lists have at one rank. It is 0 for equal lists, and infinite if the graph
            recommends a seen item or padding.
        is_same_list: whether the top lists are equal, in order too.
    """

    name: str
    history: History
    score_error: float
    largest_score: float
    list_error: float
    is_same_list: bool

    @property
    def allowed_error(self) -> float:
        """Largest `score_error` at which scores agree."""
        return MAX_SCORE_ERROR * max(1.0, self.largest_score / LARGE_SCORE)

    @property
    def is_parity(self) -> bool:
        """Whether the scores agree, and the lists differ at most in the order of near ties.

        Scores agree if `score_error` is at most `allowed_error`. Items are near ties if the model's
        scores of them differ by at most twice `score_error`.
        """
        return self.score_error <= self.allowed_error and self.list_error <= 2 * self.score_error


def comparison(
    name: str,
    history: History,
    expected: NDArray[np.float32],
    errors: NDArray[np.float32],
    ranking: SingleRanking,
    *,
    is_approximate: bool,
) -> Comparison:
    """Compares a graph's results after one history with the scores of the reference.

    Args:
        name: name of the history, and how the graph was run on it.
        history: the history's item indices, oldest first.
        expected: `[items + 1]`, scores of all items by the reference.
        errors: differences between `expected` and the scores of the ranking graph, run on a batch.
        ranking: the best unseen items by one of the graphs.
        is_approximate: whether `ranking` may lack some of the best items, so that only the order of
            the items in it is compared.
    """
    unseen = expected.copy()
    unseen[[PADDING_INDEX, *history]] = -np.inf
    unseen[np.isnan(unseen)] = -np.inf
    length = len(ranking.items)
    compared = np.sort(ranking.items) if is_approximate else _at_least_as_good(unseen, length)
    best = compared[np.argsort(-unseen[compared], kind="stable")][:length]
    expected_items = np.where(np.isfinite(unseen[best]), best, PADDING_INDEX)
    differs = expected_items != ranking.items
    with np.errstate(invalid="ignore"):  # NaN = -inf + inf: neither item may be recommended
        gaps = np.abs(unseen[expected_items[differs]] - unseen[ranking.items[differs]])
    is_item = ranking.items != PADDING_INDEX
    list_errors = np.abs(ranking.scores[is_item] - expected[ranking.items[is_item]])
    return Comparison(
        name=name,
        history=history,
        score_error=max(_largest(errors), _largest(list_errors)),
        largest_score=float(np.abs(expected[1:][np.isfinite(expected[1:])]).max(initial=0.0)),
        list_error=_largest(gaps),
        is_same_list=not differs.any(),
    )


def _at_least_as_good(scores: NDArray[np.float32], length: int) -> NDArray[np.int64]:
    """Returns the indices of the `length` best scores and of all equal to the last, ascending."""
    if length == 0:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(scores >= np.partition(scores, -length)[-length])


def _largest(errors: NDArray[np.float32]) -> float:
    """Returns the largest error; 0 for an empty array, infinity if an error is not a number."""
    return float(np.nan_to_num(errors, nan=np.inf, posinf=np.inf).max(initial=0.0))
