"""Checks parity: whether the exported graphs rank as the student does in torch.

The expected ranking comes from the student's own `score`, on one history at a time. For an encoder
of another program, it comes from the encoder's own file (`Reference`). Python code removes padding
and cuts the window, and NumPy masks and sorts. The graphs under test share none of this code.

Both graphs rank single histories and batches. In batches, the ranking graph gets histories of
unequal lengths. They take another branch of the graph than a single history without padding.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from export.parity_histories import edge_histories, random_histories
from export.sessions import CommonCaseSession, RankingSession
from training.data.catalog import PADDING_INDEX
from training.data.histories import pad_histories
from training.errors import TrainingError
from training.progress import ProgressBar
from training.students.student import Student

NUM_RANDOM_HISTORIES = 1_000
LIST_LENGTH = 20
MAX_SCORE_ERROR = 1e-4  # for scores up to LARGE_SCORE
LARGE_SCORE = 10.0  # beyond it the allowed error grows with the scores, as their rounding does
BATCH_SIZE = 64
MAX_SCORES = 2**24  # maximum number of scores that a batch of a large catalog computes at once
QUERIES_PER_RUN = 8

History = NDArray[np.int64]


class ParityError(TrainingError):
    """A graph that ranks differently from its model; the message names the worst history."""


@dataclass(frozen=True)
class Reference:
    """The model that graphs are checked against.

    A student is run in torch, an encoder of another program from its own file.

    Attributes:
        max_history_length: number of newest items that the model reads.
        read_items: indices of the items that the model reads in histories, ascending.
        scores: function from one history to the scores of all items, `[items + 1]`. The history has
            at most `max_history_length` item indices, oldest first, and no padding. It can be
            empty.
        is_approximate: whether the ranking graph's lists may lack some of the best items. Such a
            list passes if its items are unseen, in order, and have the right scores.
    """

    max_history_length: int
    read_items: NDArray[np.int64]
    scores: Callable[[History], NDArray[np.float32]]
    is_approximate: bool = False


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


@dataclass(frozen=True)
class ParityReport:
    """The result of `check_parity`.

    Attributes:
        num_histories: number of histories after which the graphs and the model ranked.
        max_score_error: largest absolute difference between a graph's and the model's score of an
            item, over all histories.
        num_tie_swaps: number of a graph's top lists that order near ties differently.
    """

    num_histories: int
    max_score_error: float
    num_tie_swaps: int


def check_parity(
    reference: Student | Reference,
    ranking_graph: RankingSession,
    common_case_graph: CommonCaseSession | None = None,
    *,
    num_random: int = NUM_RANDOM_HISTORIES,
    seed: int = 0,
) -> ParityReport:
    """Compares scores and top lists of exported graphs with those of the model they were made from.

    Model and graphs rank after the same edge-case and random histories. These have only items that
    the model reads, since graphs never get other items.

    Args:
        reference: the model that the graphs were made from; a student is run in torch.
        ranking_graph: the model's ranking graph.
        common_case_graph: the model's common-case graph; None if there is none.
        num_random: number of random histories to rank after, in addition to the edge cases.
        seed: random seed that decides the histories.

    Returns:
        The number of histories, the largest difference of scores, and the number of top lists that
        differ only in the order of near ties.

    Raises:
        ParityError: a score differs by more than `Comparison.allowed_error`, or two top lists
            differ in more than the order of near ties (`Comparison.is_parity`).
    """
    if isinstance(reference, Student):
        reference = torch_reference(reference)
    histories = _histories(reference, num_random, seed)
    comparisons = list(_compare(reference, ranking_graph, common_case_graph, histories))
    worst = max(comparisons, key=lambda each: (not each.is_parity, each.score_error))
    if not worst.is_parity:
        raise ParityError(
            f"{worst.name} {worst.history.tolist()}: scores differ by {worst.score_error:.2g} "
            f"(allowed: {worst.allowed_error:g}), scores of swapped items in the top {LIST_LENGTH} "
            f"by {worst.list_error:.2g}"
        )
    return ParityReport(
        num_histories=len(histories),
        max_score_error=worst.score_error,
        num_tie_swaps=sum(not each.is_same_list for each in comparisons),
    )


def torch_reference(student: Student) -> Reference:
    """Wraps `student` as the reference of `check_parity`, with scores computed in torch.

    Switches `student` to evaluation mode.
    """
    student.eval()

    @torch.no_grad()
    def scores(history: History) -> NDArray[np.float32]:
        known = history.tolist() or [PADDING_INDEX]
        result: NDArray[np.float32] = student.score(torch.tensor([known]))[0].numpy()
        return result

    read_items = student.item_table.read_items()
    return Reference(student.max_history_length, read_items, scores)


def _histories(reference: Reference, num_random: int, seed: int) -> list[tuple[str, History]]:
    generator = np.random.default_rng(seed)
    read_items = np.append(PADDING_INDEX, reference.read_items)
    sizes = reference.max_history_length, len(read_items) - 1
    drawn = [
        *edge_histories(*sizes, generator),
        *random_histories(*sizes, num_random, generator),
    ]
    return [(name, read_items[places]) for name, places in drawn]


def proven_share(
    graph: CommonCaseSession, longest: int, num_items: int, *, count: int = 100, seed: int = 0
) -> float:
    """Measures the share of random common-case queries for which the graph proves its whole answer.

    Each query asks for `LIST_LENGTH` items, or for a quarter of the catalog if that is fewer.

    Args:
        graph: the common-case graph.
        longest: number of items in each history; half of the catalog if that is fewer.
        num_items: number of items in the catalog.
        count: number of queries.
        seed: random seed that decides the queries.

    Returns:
        The share, in [0, 1].
    """
    k = min(LIST_LENGTH, -(-num_items // 4))
    generator = np.random.default_rng(seed)
    queries = generator.integers(1, num_items + 1, (count, min(longest, -(-num_items // 2))))
    # All query vectors of a run are quantised with one step. The more vectors, the coarser the step
    # and the fewer the proofs. Full runs therefore give a cautious estimate.
    runs = np.array_split(queries, -(-count // QUERIES_PER_RUN))
    proven = [~np.isneginf(graph.rank(each, k)[1]).any(axis=1) for each in runs]
    return float(np.concatenate(proven).mean())


def _compare(
    reference: Reference,
    ranking_graph: RankingSession,
    common_case_graph: CommonCaseSession | None,
    histories: Sequence[tuple[str, History]],
) -> Iterator[Comparison]:
    with ProgressBar("parity", len(histories), "history") as bar:
        batch_size = max(1, min(BATCH_SIZE, MAX_SCORES // ranking_graph.num_items))
        for begin in range(0, len(histories), batch_size):
            batch = histories[begin : begin + batch_size]
            scores = _batched_scores(ranking_graph, [history for _, history in batch])
            for (name, history), item_scores in zip(batch, scores, strict=True):
                longest = reference.max_history_length
                expected = reference.scores(history[history != PADDING_INDEX][-longest:])
                for way, ranking in _rankings(ranking_graph, common_case_graph, history, longest):
                    yield _comparison(
                        name + way,
                        history,
                        expected,
                        item_scores,
                        ranking,
                        is_approximate=reference.is_approximate,
                    )
                bar.advance()


def _rankings(
    ranking_graph: RankingSession,
    common_case_graph: CommonCaseSession | None,
    history: History,
    longest: int,
) -> Iterator[tuple[str, SingleRanking]]:
    """Ranks items after a history with both graphs; yields pairs of a text and a ranking.

    The text says how the graph was run, for error messages. The ranking graph ranks the history
    alone. The common-case graph ranks the history alone and in a batch, and items that are not
    proven are left out. If `common_case_graph` is None or the history has padding, only the ranking
    graph runs. `longest` is the length of the window.
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
    """Returns a batch, `[3, length]`: `history` reversed, `history` sorted, and `history` itself.

    If `history` has at least `longest` items, the length of the window, the batch is two longer.
    Then two padding items precede `history` in its row, and the other rows repeat two of its items.
    """
    width = len(history) + 2 * (len(history) >= longest)
    others = np.resize(history[::-1], width), np.resize(np.sort(history), width)
    return pad_histories([*others, history], width)


def _batched_scores(graph: RankingSession, histories: Sequence[History]) -> NDArray[np.float32]:
    """Scores all items after several histories with one run of the graph, `[batch, items + 1]`.

    The histories are padded to the longest. Seen items have scores too; padding gets -inf.
    """
    padded = pad_histories(histories, max(map(len, histories)))
    ranking, sorted_scores = graph.rank(padded, graph.num_items, mask_seen=False)
    scores = np.full((len(histories), graph.num_items + 1), -np.inf, dtype=np.float32)
    np.put_along_axis(scores, ranking, sorted_scores, axis=1)
    return scores


def _comparison(
    name: str,
    history: History,
    expected: NDArray[np.float32],
    scores: NDArray[np.float32],
    ranking: SingleRanking,
    *,
    is_approximate: bool,
) -> Comparison:
    """Compares a graph's results after one history with the scores of the reference.

    Args:
        name: name of the history, and how the graph was run on it.
        history: the history's item indices, oldest first.
        expected: `[items + 1]`, scores of all items by the reference.
        scores: `[items + 1]`, scores of all items by the ranking graph, run on a batch.
        ranking: the best unseen items by one of the graphs.
        is_approximate: whether `ranking` may lack some of the best items, so that only the order of
            the items in it is compared.
    """
    unseen = expected.copy()
    unseen[[PADDING_INDEX, *history]] = -np.inf
    compared = np.sort(ranking.items) if is_approximate else np.arange(len(unseen))
    best = compared[np.argsort(-unseen[compared], kind="stable")][: len(ranking.items)]
    expected_items = np.where(np.isfinite(unseen[best]), best, PADDING_INDEX)
    differs = expected_items != ranking.items
    with np.errstate(invalid="ignore"):  # NaN = -inf + inf: neither item may be recommended
        gaps = np.abs(unseen[expected_items[differs]] - unseen[ranking.items[differs]])
    is_item = ranking.items != PADDING_INDEX
    list_errors = np.abs(ranking.scores[is_item] - expected[ranking.items[is_item]])
    return Comparison(
        name=name,
        history=history,
        score_error=max(_largest(np.abs(scores[1:] - expected[1:])), _largest(list_errors)),
        largest_score=float(np.abs(expected[1:][np.isfinite(expected[1:])]).max(initial=0.0)),
        list_error=_largest(gaps),
        is_same_list=not differs.any(),
    )


def _largest(errors: NDArray[np.float32]) -> float:
    """Returns the largest error; 0 for an empty array, infinity if an error is not a number."""
    return float(np.nan_to_num(errors, nan=np.inf, posinf=np.inf).max(initial=0.0))
