"""Checks parity: whether the exported graphs rank as the student does in torch.

The expected ranking comes from the student's own `score`, on one history at a time. For an encoder
of another program, it comes from the encoder's own file (`Reference`). Python code removes padding
and cuts the window, and NumPy masks and sorts. The graphs under test share none of this code.

Both graphs rank single histories and batches. In batches, the ranking graph gets histories of
unequal lengths. They take another branch of the graph than a single history without padding.

Of a large catalog, all scores are compared after the first history only. After each later one they
are compared for one part of the items, and the parts take turns.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from export.parity.comparison import Comparison, SingleRanking, comparison
from export.parity.histories import (
    ALL_ITEMS,
    History,
    Part,
    behind_others,
    edge_histories,
    num_random_for,
    parts_of_items,
    random_histories,
)
from export.sessions import CommonCaseSession, RankingSession
from training.data.catalog import PADDING_INDEX
from training.data.histories import pad_histories
from training.errors import TrainingError
from training.progress import ProgressBar
from training.students.student import Student

NUM_RANDOM_HISTORIES = 1_000
LIST_LENGTH = 20
BATCH_SIZE = 64
MAX_SCORES = 2**24  # maximum number of scores that a batch of a large catalog computes at once
QUERIES_PER_RUN = 8


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
        num_random: number of random histories to rank after, in addition to the edge cases; fewer
            in a large catalog (`histories.num_random_for`).
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
    wanted = num_random_for(ranking_graph.num_items, num_random)
    histories = _histories(reference, wanted, seed)
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


def torch_reference(student: Student, table: torch.Tensor | None = None) -> Reference:
    """Wraps `student` as the reference of `check_parity`, with scores computed in torch.

    Switches `student` to evaluation mode.

    `table`: the student's item vectors, `[items + 1, hidden]`, where the caller has them; None:
    they are computed.
    """
    student.eval()
    table = student.item_table().detach() if table is None else table

    @torch.no_grad()
    def scores(history: History) -> NDArray[np.float32]:
        known = history.tolist() or [PADDING_INDEX]
        result: NDArray[np.float32] = student.score(torch.tensor([known]), table)[0].numpy()
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
    longest = reference.max_history_length
    with ProgressBar("parity", len(histories), "history") as bar:
        for part, batch in _batches(histories, ranking_graph.num_items):
            scores = _batched_scores(ranking_graph, [history for _, history in batch], part)
            for (name, history), part_scores in zip(batch, scores, strict=True):
                expected = reference.scores(history[history != PADDING_INDEX][-longest:])
                for way, ranking in _rankings(ranking_graph, common_case_graph, history, longest):
                    yield comparison(
                        name + way,
                        history,
                        expected,
                        np.abs(part_scores - expected[part]),
                        ranking,
                        is_approximate=reference.is_approximate,
                    )
                bar.advance()


def _batches(
    histories: Sequence[tuple[str, History]], num_items: int
) -> Iterator[tuple[Part, Sequence[tuple[str, History]]]]:
    """Yields batches of histories, each with the items whose scores are compared after them."""
    parts = parts_of_items(num_items)
    size = max(2, min(BATCH_SIZE, MAX_SCORES // num_items))
    first = size if len(parts) == 1 else 1
    yield ALL_ITEMS, histories[:first]
    for number, begin in enumerate(range(first, len(histories), size)):
        yield parts[number % len(parts)], histories[begin : begin + size]


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
        (", common case in a batch", behind_others(history, longest)),
    ):
        lines = common_case_graph.rank(batch, min(LIST_LENGTH, ranking_graph.num_items))
        items, scores = (line[-1] for line in lines)
        is_proven = ~np.isneginf(scores)
        yield way, SingleRanking(items[is_proven], scores[is_proven])


def _batched_scores(
    graph: RankingSession, histories: Sequence[History], part: Part
) -> NDArray[np.float32]:
    """Scores the items of `part` after several histories with one run of the graph.

    The histories are padded to the longest. Seen items have scores too.

    Returns:
        `[batch, items of the part]`, scores; -inf where the graph ranks no item.
    """
    items = np.arange(graph.num_items + 1)[part]
    allowed = None
    if part != ALL_ITEMS:
        allowed = np.zeros((1, graph.num_items + 1), dtype=np.bool_)
        allowed[0, part] = True
    padded = pad_histories(histories, max(map(len, histories)))
    ranking, sorted_scores = graph.rank(padded, len(items), mask_seen=False, allowed=allowed)
    places = (ranking - part.start) // (part.step or 1)
    scores = np.full((len(histories), len(items)), -np.inf, dtype=np.float32)
    for line, of_line, values in zip(scores, places, sorted_scores, strict=True):
        line[of_line[of_line >= 0]] = values[of_line >= 0]
    return scores
