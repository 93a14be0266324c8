import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from export.graphs.ranking_graph import export_student
from export.parity import check, histories
from export.parity.check import NUM_RANDOM_HISTORIES, ParityError, check_parity, proven_share
from export.parity.comparison import MAX_SCORE_ERROR
from export.sessions import CommonCaseSession, RankingSession
from training.students.student import Student

Retable = Callable[[NDArray[np.float32]], RankingSession]


def test_the_exported_student_answers_as_torch_does(
    student: Student, graph: RankingSession, common_case: CommonCaseSession
) -> None:
    report = check_parity(student, graph, common_case)
    assert report.num_histories > NUM_RANDOM_HISTORIES
    assert 0 < report.max_score_error < 1e-5


def test_one_item_scored_wrongly_is_reported_with_the_worst_history(
    student: Student, retabled: Retable
) -> None:
    table = student.item_table().detach().numpy()
    table[17, 3] += 0.01
    with pytest.raises(
        ParityError, match=r"(length|random|one|all) .*\[.*\]: scores differ by 0.0"
    ):
        check_parity(student, retabled(table), num_random=10)


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the catalog of 30 items for a large one, whose scores are compared in five parts."""
    monkeypatch.setattr(histories, "PART_SIZE", 6)
    monkeypatch.setattr(check, "BATCH_SIZE", 4)


@pytest.mark.usefixtures("in_parts")
def test_a_large_catalog_passes_part_by_part(student: Student, graph: RankingSession) -> None:
    assert 0 < check_parity(student, graph, num_random=20).max_score_error < 1e-5


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("item", [1, 17, 30])
def test_an_item_is_compared_in_its_part_too(
    student: Student, graph: RankingSession, item: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = graph.rank

    def rank(histories: NDArray[np.int64], k: int, **options: object) -> object:
        items, scores = honest(histories, k, **options)  # type: ignore[arg-type]
        if options.get("allowed") is not None:
            scores = scores + 0.01 * (items == item)
        return items, scores

    monkeypatch.setattr(graph, "rank", rank)
    with pytest.raises(ParityError, match=r"scores differ by 0.0"):
        check_parity(student, graph, num_random=30)


def with_larger_table(student: Student, factor: float) -> Student:
    """A copy of a student whose item vectors, and so its scores, are `factor` times as large."""
    larger = copy.deepcopy(student)
    for name, parameter in larger.item_table.named_parameters():
        parameter.data *= factor
        assert parameter.data.any(), name
    return larger


def test_scores_may_differ_by_their_rounding_however_large_they_are(
    student: Student, tmp_path: Path
) -> None:
    large = with_larger_table(student, 3_000)
    export_student(large, tmp_path / "large.onnx")
    graph = RankingSession(tmp_path / "large.onnx")

    assert check_parity(large, graph, num_random=20).max_score_error > MAX_SCORE_ERROR
    with pytest.raises(ParityError, match="scores differ by"):
        check_parity(with_larger_table(student, 3_001), graph, num_random=20)


def test_a_graph_that_scores_not_a_number_is_refused(student: Student, retabled: Retable) -> None:
    table = student.item_table().detach().numpy()
    table[17] = np.nan
    with pytest.raises(ParityError, match="scores differ by inf"):
        check_parity(student, retabled(table), num_random=1)


def test_a_graph_that_answers_seen_items_is_refused(
    student: Student, graph: RankingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = graph.rank
    monkeypatch.setattr(
        graph, "rank", lambda histories, k, **_: honest(histories, k, mask_seen=False)
    )
    with pytest.raises(ParityError, match="in the top 20 by inf"):
        check_parity(student, graph, num_random=10)


def test_a_common_case_graph_that_answers_seen_items_is_refused(
    student: Student,
    graph: RankingSession,
    common_case: CommonCaseSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        common_case, "rank", lambda histories, k: graph.rank(histories, k, mask_seen=False)
    )
    with pytest.raises(ParityError, match=r", common case .* in the top 20 by inf"):
        check_parity(student, graph, common_case, num_random=10)


def test_a_common_case_graph_that_confuses_the_lines_of_a_batch_is_refused(
    student: Student,
    graph: RankingSession,
    common_case: CommonCaseSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = common_case.rank

    def rank(histories: NDArray[np.int64], k: int) -> Sequence[NDArray[np.generic]]:
        return [lines[::-1] for lines in honest(histories, k)]

    monkeypatch.setattr(common_case, "rank", rank)
    with pytest.raises(ParityError, match="common case in a batch"):
        check_parity(student, graph, common_case, num_random=10)


def test_what_a_common_case_graph_does_not_prove_counts_neither_way(
    student: Student,
    graph: RankingSession,
    common_case: CommonCaseSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = np.zeros((1, 20), dtype=np.int64), np.full((1, 20), -np.inf, dtype=np.float32)
    monkeypatch.setattr(common_case, "rank", lambda *_: nothing)
    assert check_parity(student, graph, common_case, num_random=10).max_score_error < 1e-5


def test_a_query_counts_as_proven_only_if_every_place_is(
    common_case: CommonCaseSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert proven_share(common_case, 6, 30) == 1
    one_unproven = np.zeros((8, 8), dtype=np.float32)
    one_unproven[5, 7] = -np.inf
    monkeypatch.setattr(common_case, "rank", lambda *_: (np.zeros((8, 8)), one_unproven))
    assert proven_share(common_case, 6, 30, count=16) == 14 / 16
