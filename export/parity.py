"""Proof that the exported graph answers what the torch student answers.

The reference is the student's own `score` on each history alone, its padding dropped and its
newest items kept by plain Python, masked and sorted by NumPy: nothing of it is shared with the
graph under test. The graph reads histories of unequal length together, and each by itself: it has a
way of its own for either.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from export.sessions import CommonCaseGraph, RankingGraph
from training.data.catalog import PADDING_INDEX
from training.data.histories import pad_histories
from training.errors import TrainingError
from training.students.student import Student

NUM_RANDOM_HISTORIES = 1_000
LIST_LENGTH = 20
MAX_SCORE_ERROR = 1e-4
BATCH_SIZE = 64
ASKED_TOGETHER = 8

History = NDArray[np.int64]


class ParityError(TrainingError):
    """The graph does not answer what the student answers; the message names the worst history."""


@dataclass(frozen=True)
class SingleRanking:
    """What a graph answers to one history by itself, without seen items; `[LIST_LENGTH]` each."""

    items: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class Comparison:
    """Graph against student on one history.

    Attributes:
        score_error: largest difference of any item's score.
        list_error: largest difference of torch's scores where the top lists name different items:
            0 for equal lists, infinite for an item that may not be answered.
        is_same_list: whether the top lists are equal, order included.
    """

    name: str
    history: History
    score_error: float
    list_error: float
    is_same_list: bool

    @property
    def is_parity(self) -> bool:
        """Whether scores agree, and lists but for the order of scores nearer than their error."""
        return self.score_error <= MAX_SCORE_ERROR and self.list_error <= 2 * self.score_error


@dataclass(frozen=True)
class ParityReport:
    """What `check_parity` found.

    Attributes:
        max_score_error: largest difference of any score of any history.
        num_tie_swaps: answers whose top items differ in the order of near-equal scores.
    """

    num_histories: int
    max_score_error: float
    num_tie_swaps: int


def check_parity(
    student: Student,
    graph: RankingGraph,
    plain: CommonCaseGraph | None = None,
    *,
    num_random: int = NUM_RANDOM_HISTORIES,
    seed: int = 0,
) -> ParityReport:
    """Compares scores and top lists on random and on edge histories.

    Raises:
        ParityError: a score differs by more than 1e-4, or a list by more than swapped ties.
    """
    generator = np.random.default_rng(seed)
    histories = [
        *edge_histories(student.max_history_length, graph.num_items, generator),
        *random_histories(student.max_history_length, graph.num_items, num_random, generator),
    ]
    comparisons = list(_compare(student.eval(), graph, plain, histories))
    worst = max(comparisons, key=lambda each: (not each.is_parity, each.score_error))
    if not worst.is_parity:
        raise ParityError(
            f"{worst.name} {worst.history.tolist()}: scores differ by {worst.score_error:.2g} "
            f"(at most {MAX_SCORE_ERROR:g}), the top {LIST_LENGTH} by {worst.list_error:.2g}"
        )
    return ParityReport(
        num_histories=len(histories),
        max_score_error=worst.score_error,
        num_tie_swaps=sum(not each.is_same_list for each in comparisons),
    )


def share_of_known(
    plain: CommonCaseGraph, longest: int, num_items: int, *, count: int = 100, seed: int = 0
) -> float:
    """Of random plain questions for a part of the catalog, those that the graph knows all about."""
    k = min(LIST_LENGTH, -(-num_items // 4))
    generator = np.random.default_rng(seed)
    questions = generator.integers(1, num_items + 1, (count, min(longest, -(-num_items // 2))))
    # Several share the steps of their codes: what is asked together is known least.
    lots = np.array_split(questions, -(-count // ASKED_TOGETHER))
    known = [~np.isneginf(plain.rank(each, k)[1]).any(axis=1) for each in lots]
    return float(np.concatenate(known).mean())


def edge_histories(
    longest: int, num_items: int, generator: np.random.Generator
) -> Iterator[tuple[str, History]]:
    """Named histories at the borders of what a graph may be asked."""
    lengths = {1, longest - 1, longest, longest + 1, 3 * longest} - {0}
    for length in sorted(lengths):
        history = generator.integers(1, num_items + 1, length)
        yield f"length {length}", history
        yield f"length {length}, padding between", np.insert(history, length // 2, [0, 0])
        yield f"length {length}, padding after", np.append(history, [0, 0, 0])
    yield "one item repeated", np.full(longest, num_items)
    yield "all unknown", np.zeros(3, dtype=np.int64)


def random_histories(
    longest: int, num_items: int, count: int, generator: np.random.Generator
) -> Iterator[tuple[str, History]]:
    """Histories of up to twice the window; in every other, one place in ten or so is unknown."""
    for number in range(count):
        history = generator.integers(1, num_items + 1, generator.integers(1, 2 * longest + 1))
        if number % 2:
            history[generator.random(len(history)) < 0.1] = PADDING_INDEX
        yield f"random history {number}", history


def _compare(
    student: Student,
    graph: RankingGraph,
    plain: CommonCaseGraph | None,
    histories: Sequence[tuple[str, History]],
) -> Iterator[Comparison]:
    with tqdm(desc="parity", total=len(histories), unit="history") as bar:
        for begin in range(0, len(histories), BATCH_SIZE):
            batch = histories[begin : begin + BATCH_SIZE]
            scores = _scores_together(graph, [history for _, history in batch])
            for (name, history), of_items in zip(batch, scores, strict=True):
                expected = _torch_scores(student, history)
                for way, alone in _alone(graph, plain, history, student.max_history_length):
                    yield _comparison(name + way, history, expected, of_items, alone)
            bar.update(len(batch))


def _alone(
    graph: RankingGraph, plain: CommonCaseGraph | None, history: History, longest: int
) -> Iterator[tuple[str, SingleRanking]]:
    """What the ranking graph answers, and as much as the other knows."""
    lines = graph.rank(history[None], LIST_LENGTH, mask_seen=True)
    yield "", SingleRanking(*(line[0] for line in lines))
    if plain is None or PADDING_INDEX in history:
        return
    for way, asked in (
        (", a plain question", history[None]),
        (", plain, beside others", _beside_others(history, longest)),
    ):
        lines = plain.rank(asked, min(LIST_LENGTH, graph.num_items))
        items, scores = (line[-1] for line in lines)
        is_known = ~np.isneginf(scores)
        yield way, SingleRanking(items[is_known], scores[is_known])


def _beside_others(history: History, longest: int) -> NDArray[np.int64]:
    """It behind two others of the same items; with padding before it, where a window has none."""
    width = len(history) + 2 * (len(history) >= longest)
    others = np.resize(history[::-1], width), np.resize(np.sort(history), width)
    return pad_histories([*others, history], width)


def _scores_together(graph: RankingGraph, histories: Sequence[History]) -> NDArray[np.float32]:
    """Scores of all items, `[batch, items + 1]`, of histories padded to one length."""
    padded = pad_histories(histories, max(map(len, histories)))
    ranking, sorted_scores = graph.rank(padded, graph.num_items, mask_seen=False)
    scores = np.full((len(histories), graph.num_items + 1), -np.inf, dtype=np.float32)
    np.put_along_axis(scores, ranking, sorted_scores, axis=1)
    return scores


@torch.no_grad()
def _torch_scores(student: Student, history: History) -> NDArray[np.float32]:
    known = [int(item) for item in history if item != PADDING_INDEX] or [PADDING_INDEX]
    scores = student.score(torch.tensor([known[-student.max_history_length :]]))
    result: NDArray[np.float32] = scores[0].numpy()
    return result


def _comparison(
    name: str,
    history: History,
    expected: NDArray[np.float32],
    scores: NDArray[np.float32],
    alone: SingleRanking,
) -> Comparison:
    unseen = expected.copy()
    unseen[[PADDING_INDEX, *history]] = -np.inf
    best = np.argsort(-unseen, kind="stable")[: len(alone.items)]
    due = np.where(np.isfinite(unseen[best]), best, PADDING_INDEX)
    differs = due != alone.items
    with np.errstate(invalid="ignore"):  # NaN: neither of the two items may be answered
        gaps = np.abs(unseen[due[differs]] - unseen[alone.items[differs]])
    answered = alone.items != PADDING_INDEX
    of_list = alone.scores[answered] - expected[alone.items[answered]]
    return Comparison(
        name=name,
        history=history,
        score_error=max(_largest(np.abs(scores[1:] - expected[1:])), _largest(np.abs(of_list))),
        list_error=_largest(gaps),
        is_same_list=not differs.any(),
    )


def _largest(errors: NDArray[np.float32]) -> float:
    """The maximum; 0 of none, and NaN is infinitely wrong."""
    return float(np.nan_to_num(errors, nan=np.inf, posinf=np.inf).max(initial=0.0))
