"""Checks that the exported graphs rank as the student does in torch.

The expected ranking comes from the student's own `score` on one history at a time. Python removes
padding and cuts the window, and NumPy masks and sorts; the graphs under test share none of this
code. The ranking graph is run on batches of histories of unequal length and on single histories,
since it reads the two in different ways. The common-case graph is run on single histories and in
batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from export.sessions import CommonCaseSession, RankingSession
from training.data.catalog import PADDING_INDEX
from training.data.histories import pad_histories
from training.errors import TrainingError
from training.progress import ProgressBar
from training.students.student import Student

NUM_RANDOM_HISTORIES = 1_000
LIST_LENGTH = 20
MAX_SCORE_ERROR = 1e-4
BATCH_SIZE = 64
QUERIES_PER_RUN = 8

History = NDArray[np.int64]


class ParityError(TrainingError):
    """Raised if a graph ranks differently from the student; names the worst history."""


@dataclass(frozen=True)
class SingleRanking:
    """A graph's best unseen items after one history, and their scores, `[LIST_LENGTH]` each.

    They are shorter if the catalog is smaller or if the common-case graph did not prove all.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class Comparison:
    """Differences between a graph and the student on one history.

    Attributes:
        name: name of the history, and how the graph was run on it.
        history: the history's item indices, oldest first.
        score_error: largest absolute difference between a graph's score and the student's.
        list_error: where the two top lists have different items at one rank, the largest difference
            of those items' scores in torch. 0 for equal lists, infinite if the graph answers an
            item that is seen or padding.
        is_same_list: whether the top lists are equal, order included.
    """

    name: str
    history: History
    score_error: float
    list_error: float
    is_same_list: bool

    @property
    def is_parity(self) -> bool:
        """Whether the scores agree, and lists differ only by swaps of nearly equal scores.

        Two scores are nearly equal if they differ by at most twice `score_error`.
        """
        return self.score_error <= MAX_SCORE_ERROR and self.list_error <= 2 * self.score_error


@dataclass(frozen=True)
class ParityReport:
    """The result of `check_parity`.

    Attributes:
        num_histories: number of histories that were compared.
        max_score_error: largest absolute difference of a score, over all histories.
        num_tie_swaps: number of answers that order items with nearly equal scores differently.
    """

    num_histories: int
    max_score_error: float
    num_tie_swaps: int


def check_parity(
    student: Student,
    ranking_graph: RankingSession,
    common_case_graph: CommonCaseSession | None = None,
    *,
    num_random: int = NUM_RANDOM_HISTORIES,
    seed: int = 0,
) -> ParityReport:
    """Compares scores and top lists of the graphs with the student's.

    Histories hold items that the student reads, since no others are ever given to the graphs.

    Args:
        student: the student that was exported.
        ranking_graph: its ranking graph.
        common_case_graph: its common-case graph; None if it has none.
        num_random: number of random histories to rank after, in addition to the edge cases.
        seed: seed of the histories.

    Raises:
        ParityError: a score differs by more than `MAX_SCORE_ERROR`, or two lists differ by more
            than the order of nearly equal scores.
    """
    generator = np.random.default_rng(seed)
    read_items = np.append(PADDING_INDEX, student.item_table.read_items())
    sizes = student.max_history_length, len(read_items) - 1
    drawn = [
        *edge_histories(*sizes, generator),
        *random_histories(*sizes, num_random, generator),
    ]
    histories = [(name, read_items[places]) for name, places in drawn]
    comparisons = list(_compare(student.eval(), ranking_graph, common_case_graph, histories))
    worst = max(comparisons, key=lambda each: (not each.is_parity, each.score_error))
    if not worst.is_parity:
        raise ParityError(
            f"{worst.name} {worst.history.tolist()}: scores differ by {worst.score_error:.2g} "
            f"(allowed: {MAX_SCORE_ERROR:g}), scores of swapped items in the top {LIST_LENGTH} "
            f"by {worst.list_error:.2g}"
        )
    return ParityReport(
        num_histories=len(histories),
        max_score_error=worst.score_error,
        num_tie_swaps=sum(not each.is_same_list for each in comparisons),
    )


def proven_share(
    graph: CommonCaseSession, longest: int, num_items: int, *, count: int = 100, seed: int = 0
) -> float:
    """Measures the share of random common-case queries whose answer the graph proves.

    Args:
        graph: the common-case graph.
        longest: length of the histories, in items, but at most half of the catalog.
        num_items: number of items in the catalog.
        count: number of queries; each asks for `LIST_LENGTH` items, but at most a quarter of the
            catalog.
        seed: seed of the queries.
    """
    k = min(LIST_LENGTH, -(-num_items // 4))
    generator = np.random.default_rng(seed)
    queries = generator.integers(1, num_items + 1, (count, min(longest, -(-num_items // 2))))
    # The query vectors of a run are quantised with one common step. The more of them there are, the
    # coarser the step and the fewer the proofs, so full runs give a cautious estimate.
    runs = np.array_split(queries, -(-count // QUERIES_PER_RUN))
    proven = [~np.isneginf(graph.rank(each, k)[1]).any(axis=1) for each in runs]
    return float(np.concatenate(proven).mean())


def edge_histories(
    longest: int, num_items: int, generator: np.random.Generator
) -> Iterator[tuple[str, History]]:
    """Yields names and histories of edge cases: lengths around the window, padding, repeats."""
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
    """Yields `count` names and histories of 1 to `2 * longest` items.

    In every second history, each item is replaced by padding with a probability of 0.1, as if it
    were unknown.
    """
    for number in range(count):
        history = generator.integers(1, num_items + 1, generator.integers(1, 2 * longest + 1))
        if number % 2:
            history[generator.random(len(history)) < 0.1] = PADDING_INDEX
        yield f"random history {number}", history


def _compare(
    student: Student,
    ranking_graph: RankingSession,
    common_case_graph: CommonCaseSession | None,
    histories: Sequence[tuple[str, History]],
) -> Iterator[Comparison]:
    with ProgressBar("parity", len(histories), "history") as bar:
        for begin in range(0, len(histories), BATCH_SIZE):
            batch = histories[begin : begin + BATCH_SIZE]
            scores = _batched_scores(ranking_graph, [history for _, history in batch])
            for (name, history), item_scores in zip(batch, scores, strict=True):
                expected = _torch_scores(student, history)
                longest = student.max_history_length
                for way, ranking in _rankings(ranking_graph, common_case_graph, history, longest):
                    yield _comparison(name + way, history, expected, item_scores, ranking)
                bar.advance()


def _rankings(
    ranking_graph: RankingSession,
    common_case_graph: CommonCaseSession | None,
    history: History,
    longest: int,
) -> Iterator[tuple[str, SingleRanking]]:
    """Yields pairs: how an answer was computed, for messages, and the answer.

    First comes the ranking graph's. Then come two of the common-case graph, without the items that
    it could not prove: for the history as a single query, and in a batch. They are missing if
    there is no such graph or the history has padding. `longest` is the length of the window.
    """
    lines = ranking_graph.rank(history[None], LIST_LENGTH, mask_seen=True)
    yield "", SingleRanking(*(line[0] for line in lines))
    if common_case_graph is None or PADDING_INDEX in history:
        return
    for way, batch in (
        (", common case", history[None]),
        (", common case in a batch", _behind_others(history, longest)),
    ):
        lines = common_case_graph.rank(batch, min(LIST_LENGTH, ranking_graph.num_items))
        items, scores = (line[-1] for line in lines)
        is_proven = ~np.isneginf(scores)
        yield way, SingleRanking(items[is_proven], scores[is_proven])


def _behind_others(history: History, longest: int) -> NDArray[np.int64]:
    """Returns a batch of two reordered copies of the history, with the history itself last.

    If the history fills the window, padding is put before it, outside of the window.
    """
    width = len(history) + 2 * (len(history) >= longest)
    others = np.resize(history[::-1], width), np.resize(np.sort(history), width)
    return pad_histories([*others, history], width)


def _batched_scores(graph: RankingSession, histories: Sequence[History]) -> NDArray[np.float32]:
    """Ranks histories in one batch, padded to one length; returns scores `[batch, items + 1]`."""
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
    ranking: SingleRanking,
) -> Comparison:
    """Compares a graph's results for one history with the student's.

    Args:
        name: name of the history, and how it was ranked.
        history: item indices.
        expected: `[items + 1]`, the student's scores.
        scores: `[items + 1]`, the ranking graph's scores from a batch.
        ranking: a graph's best items and their scores.
    """
    unseen = expected.copy()
    unseen[[PADDING_INDEX, *history]] = -np.inf
    best = np.argsort(-unseen, kind="stable")[: len(ranking.items)]
    expected_items = np.where(np.isfinite(unseen[best]), best, PADDING_INDEX)
    differs = expected_items != ranking.items
    with np.errstate(invalid="ignore"):  # NaN: neither of the two items may be answered
        gaps = np.abs(unseen[expected_items[differs]] - unseen[ranking.items[differs]])
    is_item = ranking.items != PADDING_INDEX
    list_score_errors = ranking.scores[is_item] - expected[ranking.items[is_item]]
    return Comparison(
        name=name,
        history=history,
        score_error=max(
            _largest(np.abs(scores[1:] - expected[1:])), _largest(np.abs(list_score_errors))
        ),
        list_error=_largest(gaps),
        is_same_list=not differs.any(),
    )


def _largest(errors: NDArray[np.float32]) -> float:
    """Returns the largest of the errors; 0 for an empty array, infinite if one is not a number."""
    return float(np.nan_to_num(errors, nan=np.inf, posinf=np.inf).max(initial=0.0))
