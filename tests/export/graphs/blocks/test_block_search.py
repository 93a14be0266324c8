"""The search by blocks, compared with a search through all items."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.graphs.blocks import constants, search
from export.graphs.blocks.constants import Blocks
from export.graphs.blocks.order import Axes
from export.graphs.blocks.search import BlockSizes
from export.graphs.proven.search import Constants
from export.graphs.ranking_graph import export_ranking_graph
from export.sessions import RankingSession
from tests.export.graphs.searched import (
    HIDDEN_SIZE,
    NUM_ITEMS,
    Vectors,
    check_against_all_scores,
    some_vectors,
    summing_encoder,
)

Export = Callable[..., Path]
UNTURNED = Axes(np.eye(2), np.eye(2), np.ones(2))


@pytest.fixture(params=[8, 0], ids=["by heads", "by summaries"])
def num_codes(request: pytest.FixtureRequest) -> int:
    """Number of bytes per item that step 1 reads, for both of its ways."""
    number: int = request.param
    return number


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_codes: int) -> Export:
    """Exports a model of chosen item vectors, whose search reads blocks of four items.

    All blocks are read, unless other sizes are given.
    """
    monkeypatch.setattr(search, "NUM_CANDIDATES", 160)

    def write(
        vectors: Vectors, query: Vectors | None = None, blocks: BlockSizes | None = None
    ) -> Path:
        sizes = blocks or BlockSizes(num_codes, num_blocks=NUM_ITEMS, block_size=4)
        export_ranking_graph(summing_encoder(vectors, query), tmp_path / "model.onnx", sizes)
        return tmp_path / "model.onnx"

    return write


def test_where_all_blocks_are_read_answers_are_those_of_all_items(export: Export) -> None:
    check_against_all_scores(export(some_vectors()))


def test_a_few_blocks_hold_most_of_the_best_items(export: Export, num_codes: int) -> None:
    blocks = BlockSizes(num_codes, num_blocks=40, block_size=4)  # 160 of the 400 items
    graph = RankingSession(export(some_vectors(), blocks=blocks))
    histories = np.random.default_rng(2).integers(1, NUM_ITEMS + 1, (50, 6))
    found = graph.rank(histories, 10, mask_seen=True)[0]
    best = graph.rank(histories, NUM_ITEMS, mask_seen=True)[0][:, :10]
    shares = [np.isin(right, answer).mean() for answer, right in zip(found, best, strict=True)]
    assert np.mean(shares) > 0.9


@pytest.mark.parametrize("num_open", [3, 30, NUM_ITEMS // 2])
def test_behind_a_filter_the_best_open_items_are_found_wherever_they_lie(
    export: Export, num_codes: int, num_open: int
) -> None:
    graph = RankingSession(
        export(some_vectors(), blocks=BlockSizes(num_codes, num_blocks=20, block_size=4))
    )
    history = np.array([[5, 6]])
    every = graph.rank(history, NUM_ITEMS, mask_seen=True)[0][0]
    worst = [int(item) for item in every if item][-num_open:]
    allowed = np.zeros((1, NUM_ITEMS + 1), dtype=np.bool_)
    allowed[0, [0, *worst]] = True
    answer, scores = graph.rank(history, 10, mask_seen=True, allowed=allowed)
    expected = worst[:10]
    assert answer[0].tolist() == expected + [0] * (10 - len(expected))
    assert np.isneginf(scores[0, len(expected) :]).all()


def answer_nothing(scores: str, item_indices: str, _: str) -> str:
    """Returns text in the place of the search of all items, which answers no item."""
    return f"""
        shape_of_nothing = Concat<axis = 0>(lines, k)
        {scores} = Expand(never, shape_of_nothing)
        {item_indices} = ConstantOfShape<value = int64[1] {{0}}>(shape_of_nothing)
    """


def test_where_the_best_items_are_excluded_more_are_trusted_before_all_are_scored(
    export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = RankingSession(export(some_vectors()))
    monkeypatch.setattr(search, "search_of_all_text", answer_nothing)
    without_all = RankingSession(export(some_vectors()))
    for history in np.random.default_rng(2).integers(1, NUM_ITEMS + 1, (30, 1, 6)):
        every = graph.rank(history, NUM_ITEMS, mask_seen=False)[0][0]
        allowed = np.ones((1, NUM_ITEMS + 1), dtype=np.bool_)
        allowed[0, every[:75]] = False  # of 80 that are trusted
        answer = without_all.rank(history, 10, mask_seen=False, allowed=allowed)[0][0]
        assert answer.tolist() == every[75:85].tolist()


def test_the_wider_search_reads_further_blocks_and_answers_no_item_twice(
    export: Export, num_codes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "search_of_all_text", answer_nothing)
    monkeypatch.setattr(search, "NUM_CANDIDATES", 40)  # 20 are trusted, then 100
    sizes = BlockSizes(num_codes, num_blocks=25, block_size=4)  # 100 of the 400 items, then 200
    vectors = some_vectors()
    graph = RankingSession(export(vectors, blocks=sizes))
    shares = []
    for history in np.random.default_rng(2).integers(1, NUM_ITEMS + 1, (30, 1, 6)):
        query = vectors[history[0] - 1].sum(axis=0)
        every = 1 + np.argsort(-(vectors @ query), kind="stable")
        allowed = np.ones((1, NUM_ITEMS + 1), dtype=np.bool_)
        allowed[0, every[:80]] = False
        answer = graph.rank(history, 10, mask_seen=False, allowed=allowed)[0][0]
        assert len(set(answer.tolist()) - {0}) == 10
        assert allowed[0, answer].all()
        shares.append(np.isin(every[80:90], answer).mean())
    assert np.mean(shares) > 0.7


def test_where_too_many_are_excluded_for_that_all_items_are_scored(
    export: Export, num_codes: int
) -> None:
    blocks = BlockSizes(num_codes, num_blocks=10, block_size=4)
    graph = RankingSession(export(some_vectors(), blocks=blocks))
    every = graph.rank(np.array([[1, 2]]), NUM_ITEMS, mask_seen=False)[0][0]
    allowed = np.ones((1, NUM_ITEMS + 1), dtype=np.bool_)
    allowed[0, every[:200]] = False
    answer = graph.rank(np.array([[1, 2]]), 10, mask_seen=False, allowed=allowed)[0][0]
    assert answer.tolist() == every[200:210].tolist()


def test_added_items_are_found_with_a_filter_and_without(export: Export) -> None:
    vectors = some_vectors()
    graph = RankingSession(export(vectors))
    history, added = np.array([[1, 2], [3, 0]]), 2 * vectors[:5] + 1
    every = graph.rank(history, NUM_ITEMS + 5, mask_seen=False, added=added)[0]
    answer = graph.rank(history, 8, mask_seen=False, added=added)[0]
    assert np.array_equal(answer, every[:, :8])
    allowed = np.zeros((1, NUM_ITEMS + 6), dtype=np.bool_)
    allowed[0, [9, NUM_ITEMS + 2, NUM_ITEMS + 5]] = True
    answer = graph.rank(history, 8, mask_seen=False, added=added, allowed=allowed)[0]
    for line, ranked in zip(answer, every, strict=True):
        assert line.tolist() == [each for each in ranked if allowed[0, each]] + [0] * 5


def test_items_of_equal_vectors_rank_in_index_order(export: Export) -> None:
    graph = RankingSession(export(np.repeat(some_vectors(NUM_ITEMS // 4), 4, axis=0)))
    ranking = graph.rank(np.array([[1, 2]]), 16, mask_seen=False)[0]
    for first in range(0, 16, 4):
        assert np.diff(ranking[0, first : first + 4]).tolist() == [1, 1, 1]


def test_padding_is_not_answered_where_its_zeros_would_score_best(export: Export) -> None:
    first = np.eye(1, HIDDEN_SIZE, dtype=np.float32)[0]
    num_items = 399  # so that the last block of four has padding
    vectors = -np.arange(1, num_items + 1, dtype=np.float32)[:, None] * first
    ranking, scores = RankingSession(export(vectors, first)).rank(
        np.array([[11, 12]]), 3, mask_seen=True
    )
    assert ranking.tolist() == [[1, 2, 3]]
    assert scores.tolist() == [[-1, -2, -3]]


@pytest.mark.parametrize("num_codes", [4], indirect=True)
def test_items_are_found_whose_scores_lie_in_the_coordinates_that_no_code_has(
    export: Export,
) -> None:
    vectors = some_vectors()
    vectors[:, 4:] = 0  # of the first four coordinates, three have codes
    vectors[:4] = 0
    vectors[:4, 0], vectors[:4, -1] = -0.1, [3, 4, 5, 6]
    vectors[4] = 0.5 * np.eye(1, HIDDEN_SIZE)[0]
    graph = RankingSession(export(vectors, blocks=BlockSizes(4, num_blocks=40, block_size=4)))
    ranking = graph.rank(np.array([[1, 5]]), 3, mask_seen=True)[0]
    assert ranking.tolist() == [[4, 3, 2]]


TWO_BLOCKS = np.array([[0, 0], [1, 5], [3, 5], [6, -2], [8, 2]], dtype=np.float32)


def summaries_of(group_size: int) -> Constants:
    blocks = Blocks(TWO_BLOCKS, UNTURNED, np.array([[1, 2], [3, 4]]))
    return constants._summaries(blocks, BlockSizes(0, 1, block_size=2, group_size=group_size))


def test_a_summary_has_the_mean_and_the_variance_of_a_blocks_coordinates() -> None:
    made = summaries_of(group_size=1)
    # Means (2, 5) and (7, 0), of 63 steps of 1/9; variances (1, 0) and (1, 4), of 63 steps of 4/63.
    assert made["summary_codes_by_group"].tolist() == [[18, 45, 16, 0], [63, 0, 16, 63]]
    assert made["group_codes"].T.tolist() == [[18, 45, 16, 0], [63, 0, 16, 63]]
    assert made["usual_variances"].tolist() == [[1], [2]]
    assert float(made["spread_factor"]) == pytest.approx(2 / 2 * (4 / 63) / (1 / 9))


def test_a_group_has_the_mean_and_the_scaled_variance_of_all_its_items() -> None:
    made = summaries_of(group_size=2)
    # Of the items, means (4.5, 2.5) and variances (7.25, 8.25). Those are 15.5 in all, 31/6 of the
    # average block's 3. Divided by the root of 31/6: 3.19 and 3.63, of 63 steps of 4/63.
    assert made["group_codes"].T.tolist() == [[40, 22, 50, 57]]
    # Coordinate by coordinate, of both blocks.
    assert made["summary_codes_by_group"].tolist() == [[18, 63, 45, 0, 16, 16, 0, 63]]


@pytest.mark.parametrize("num_codes", [0], indirect=True)
def test_a_block_of_diverse_items_is_read_before_one_of_a_slightly_better_mean(
    export: Export,
) -> None:
    vectors = np.zeros((8, HIDDEN_SIZE), dtype=np.float32)
    vectors[:4, 0] = 1  # a block of equal items
    vectors[4:, 0] = [-6, -6, 6, 6]  # a block with the best and the worst ones
    vectors[:4, 1], vectors[4:, 1] = -40, 40  # by which the items are put into the two blocks
    query = np.eye(1, HIDDEN_SIZE, dtype=np.float32)[0]
    graph = RankingSession(export(vectors, query, BlockSizes(0, num_blocks=1, block_size=4)))
    assert graph.rank(np.array([[8]]), 1, mask_seen=False)[0].tolist() == [[7]]


@pytest.mark.parametrize("num_codes", [0], indirect=True)
def test_the_last_group_has_no_blocks_but_padding_after_the_last_block(export: Export) -> None:
    first = np.eye(1, HIDDEN_SIZE, dtype=np.float32)[0]
    vectors = np.arange(1, 11, dtype=np.float32)[:, None] * first  # three blocks of four, of 16
    blocks = BlockSizes(0, num_blocks=16, block_size=4)
    ranking, _ = RankingSession(export(vectors, first, blocks)).rank(
        np.array([[10]]), 12, mask_seen=True
    )
    assert ranking.tolist() == [[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]]


def test_a_filter_for_all_lines_of_a_batch_and_one_for_each_close_the_same_items(
    export: Export,
) -> None:
    graph = RankingSession(export(some_vectors()))
    histories = np.array([[1, 2], [3, 4], [5, 6]])
    allowed = np.random.default_rng(3).random((1, NUM_ITEMS + 1)) < 0.5
    for_all = graph.rank(histories, 9, mask_seen=True, allowed=allowed)[0]
    for_each = graph.rank(histories, 9, mask_seen=True, allowed=np.repeat(allowed, 3, axis=0))[0]
    assert np.array_equal(for_all, for_each)
    assert allowed[0, for_all].all()


@pytest.mark.parametrize("num_open", [3, 30, NUM_ITEMS // 2])
def test_behind_a_filter_a_sample_decides_how_the_items_are_read_but_not_which_are_found(
    export: Export, num_open: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "SAMPLE_SIZE", 40)  # every tenth item
    sizes = BlockSizes(8, num_blocks=1, block_size=4)
    graph = RankingSession(export(some_vectors(), blocks=sizes))
    every = graph.rank(np.array([[5, 6]]), NUM_ITEMS, mask_seen=True)[0][0]
    allowed = np.zeros((1, NUM_ITEMS + 1), dtype=np.bool_)
    allowed[0, 1 : 2 * num_open : 2] = True
    answer = graph.rank(np.array([[5, 6]]), 10, mask_seen=True, allowed=allowed)[0][0]
    expected = [item for item in every if item and allowed[0, item]][:10]
    assert answer.tolist() == expected + [0] * (10 - len(expected))
