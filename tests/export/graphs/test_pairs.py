"""The pair bonus in the graphs of a student, compared with torch and with hand-computed sums."""

from pathlib import Path

import numpy as np
import pytest
import torch

from export.graphs.blocks.search import BlockSizes
from export.graphs.common_case_graph import export_common_case
from export.graphs.pairs import PairTable
from export.graphs.proven import search
from export.graphs.query_encoder import encoder_of
from export.graphs.ranking_graph import export_ranking_graph, export_student
from export.parity.check import ParityError, ParityReport, check_parity, torch_reference
from export.sessions import CommonCaseSession, RankingSession
from tests.export.graphs.searched import HIDDEN_SIZE, NUM_ITEMS, WINDOW, some_vectors, student_of
from training.students.pair_bonus import PairBonus
from training.students.student import Student

NUM_PAIRS = 8


def student_with_pairs(strength: float = 0.7, decay: float = 0.6) -> Student:
    """A student of `NUM_ITEMS` items, each with up to eight pairs of random weights."""
    student, generator = student_of(some_vectors()), np.random.default_rng(3)
    drawn = [generator.permutation(NUM_ITEMS + 1)[:NUM_PAIRS] for _ in range(NUM_ITEMS + 1)]
    items = np.array(drawn, dtype=np.int32)
    weights = generator.exponential(20, items.shape).astype(np.float32)
    items[0] = 0
    weights[items == 0] = 0
    student.pair_bonus = PairBonus(
        torch.from_numpy(items), torch.from_numpy(weights), decay, strength
    )
    return student


def parity_of(student: Student, folder: Path) -> ParityReport:
    export_student(student, folder / "model.onnx")
    assert export_common_case(student, folder / "plain.onnx")
    return check_parity(
        torch_reference(student, student.item_table().detach()),
        RankingSession(folder / "model.onnx"),
        CommonCaseSession(folder / "plain.onnx"),
        num_random=60,
    )


@pytest.mark.parametrize("rough_from", [1, NUM_ITEMS + 2], ids=["with codes", "without codes"])
@pytest.mark.parametrize(
    ("decay", "are_all_read"), [(0.6, True), (0.02, False)], ids=["all pairs", "pairs left out"]
)
def test_both_graphs_rank_with_the_bonus_as_torch_does(
    rough_from: int,
    decay: float,
    are_all_read: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "ROUGH_FROM", rough_from)
    monkeypatch.setattr(search, "NUM_SPARE", 10)
    student = student_with_pairs(decay=decay)
    table = PairTable.of(student.pair_bonus)
    assert table
    assert (table.num_read(WINDOW) == WINDOW) == are_all_read
    assert parity_of(student, tmp_path).max_score_error < 1e-4


def test_pairs_of_old_items_that_change_no_score_are_not_read() -> None:
    """8 + 4 + 2 + ...: from the 21st on they sum to 16 / 2^20 = 1.5e-5, from the 22nd to 8e-6."""
    weights = np.array([[0.0, 0.0], [8.0, 0.0]], dtype=np.float32)
    pairs = PairTable(np.array([[0, 0], [1, 0]], dtype=np.int32), weights, 0.5, 1.0)
    assert pairs.num_read(50) == 21
    assert len(pairs.constants(50)["decays_of_pairs"]) == 21
    assert pairs.constants(50)["first_with_pairs"] == [-21]
    assert "first_with_pairs" not in pairs.constants(20)
    assert pairs.num_read(20) == 20
    nothing = PairTable(pairs.items, np.zeros_like(weights), 0.5, 1.0)
    assert nothing.num_read(50) == 1


def test_an_item_whose_pairs_alone_recommend_it_is_a_candidate_of_the_rough_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After item 7, item 399 gets 1.0 * log(1 + 1e6) = 13.8 and all others what vectors tell."""
    monkeypatch.setattr(search, "ROUGH_FROM", 1)
    monkeypatch.setattr(search, "NUM_SPARE", 1)
    lowest_first = np.sort(some_vectors()[:, 0])[::-1]
    vectors = np.zeros((NUM_ITEMS, HIDDEN_SIZE), dtype=np.float32)
    vectors[:, 0] = lowest_first  # item 400 has the lowest score of all
    student = student_of(vectors, np.eye(HIDDEN_SIZE, dtype=np.float32)[0])
    items = torch.zeros((NUM_ITEMS + 1, 1), dtype=torch.int32)
    weights = torch.zeros((NUM_ITEMS + 1, 1))
    items[7], weights[7] = NUM_ITEMS, 1e6
    student.pair_bonus = PairBonus(items, weights, 0.5, 1.0)
    export_student(student, tmp_path / "model.onnx")
    ranked, scores = RankingSession(tmp_path / "model.onnx").rank(
        np.array([[7]]), 2, mask_seen=True
    )
    assert ranked.tolist() == [[NUM_ITEMS, 1]]
    expected = [np.log1p(1e6) + vectors[-1, 0], vectors[0, 0]]
    np.testing.assert_allclose(scores[0], expected, rtol=1e-5)


def test_a_search_by_blocks_of_a_model_with_a_pair_bonus_is_refused(tmp_path: Path) -> None:
    encoder = encoder_of(student_with_pairs())
    with pytest.raises(ValueError, match="no items by a pair bonus"):
        export_ranking_graph(encoder, tmp_path / "model.onnx", BlockSizes(16, 4, 32, 4))


def test_items_added_to_the_catalog_have_no_bonus_and_give_none(tmp_path: Path) -> None:
    student = student_with_pairs()
    export_student(student, tmp_path / "model.onnx")
    graph = RankingSession(tmp_path / "model.onnx")
    added = np.zeros((1, HIDDEN_SIZE), dtype=np.float32)
    everything = NUM_ITEMS + 1
    ranked, scores = graph.rank(np.array([[everything]]), everything, mask_seen=False, added=added)
    student.pair_bonus = None
    export_student(student, tmp_path / "without.onnx")
    others, expected = RankingSession(tmp_path / "without.onnx").rank(
        np.array([[everything]]), everything, mask_seen=False, added=added
    )
    np.testing.assert_array_equal(ranked, others)
    np.testing.assert_array_equal(scores, expected)


def test_a_student_whose_bonus_is_too_large_for_whole_steps_of_its_scores_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rough scores are int32; where bonuses are 10^10 steps, they overflow."""
    monkeypatch.setattr(search, "ROUGH_FROM", 1)
    monkeypatch.setattr(search, "NUM_SPARE", 10)
    student = student_with_pairs(strength=4.5)
    with torch.no_grad():
        for each in student.parameters():
            each.mul_(1e-6)
    with pytest.raises(ParityError, match="scores of swapped items in the top 20"):
        parity_of(student, tmp_path)
