"""The rule by which two top lists agree but for ties, for all proofs that compare such lists.

Scores are compared by item. An item that only one list has is compared with the last score of the
other list, which it would need to enter that list.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class TopList(NamedTuple):
    """An answer: item ids, best first, their scores, and the answer's source where it has one."""

    item_ids: Sequence[str]
    scores: Sequence[float]
    source: str = ""


@dataclass
class Agreement:
    """Counts of pairs of top lists.

    Attributes:
        asked: number of pairs.
        others: number of pairs that do not agree, see `agree`.
        ties: number of pairs that agree, with other items or with the items in another order.
        difference: largest difference of two scores of an item, or of an item that one list lacks
            and that list's last score.
    """

    asked: int = 0
    others: int = 0
    ties: int = 0
    difference: float = 0.0

    def add(self, one: TopList, other: TopList, tie: float) -> None:
        """Counts a pair; scores that differ by at most `tie` are equal."""
        self.asked += 1
        self.difference = max(self.difference, largest_difference(one, other))
        if not agree(one, other, tie):
            self.others += 1
        elif list(one.item_ids) != list(other.item_ids):
            self.ties += 1


def agree(one: TopList, other: TopList, tie: float) -> bool:
    """Whether two lists have the same items but for ties, and the same scores but for `tie`.

    Both must have the same source and length, each item once, and the best items first.
    """
    return (
        one.source == other.source
        and len(one.item_ids) == len(other.item_ids)
        and all(_is_ranked(each, tie) for each in (one, other))
        and largest_difference(one, other) <= tie
    )


def largest_difference(one: TopList, other: TopList) -> float:
    """Returns the largest difference of scores, by item; 0 if both lists are empty.

    The score of an item that a list lacks is taken to be that list's last score, or infinite if the
    list is empty.
    """
    return max([*_differences(one, other), *_differences(other, one)], default=0.0)


def _differences(one: TopList, other: TopList) -> Iterator[float]:
    score_of = dict(zip(other.item_ids, other.scores, strict=True))
    last = other.scores[-1] if len(other.scores) else float("inf")
    for item_id, score in zip(one.item_ids, one.scores, strict=True):
        yield abs(float(score) - float(score_of.get(item_id, last)))


def _is_ranked(ranked: TopList, tie: float) -> bool:
    rises = np.diff(np.asarray(ranked.scores, dtype=np.float64))
    is_descending = bool((rises <= tie).all())
    return is_descending and len(set(ranked.item_ids)) == len(ranked.item_ids)
