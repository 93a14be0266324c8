"""The common-case graph, compared with the ranking graph."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.contract.tensors import COMMON_CASE_TENSORS
from export.graphs import common_case_graph
from export.graphs.common_case_graph import export_common_case
from export.graphs.proven import search
from export.graphs.ranking_graph import export_student
from export.sessions import CommonCaseSession, RankingSession
from tests.export.graphs.searched import (
    HIDDEN_SIZE,
    NUM_ITEMS,
    WINDOW,
    Vectors,
    some_vectors,
    student_of,
)
from training.data.histories import pad_histories
from training.students.student import Student

Graphs = tuple[RankingSession, CommonCaseSession]
Export = Callable[..., Graphs]


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Exports both graphs of a student of chosen item vectors; they search roughly by default."""

    def write(vectors: Vectors, query: Vectors | None = None, *, is_rough: bool = True) -> Graphs:
        monkeypatch.setattr(search, "ROUGH_FROM", 1 if is_rough else len(vectors) + 2)
        monkeypatch.setattr(search, "NUM_SPARE", 10)
        student = student_of(vectors, query)
        export_student(student, tmp_path / "model.onnx")
        assert export_common_case(student, tmp_path / "plain.onnx")
        return RankingSession(tmp_path / "model.onnx"), CommonCaseSession(tmp_path / "plain.onnx")

    return write


def num_proven(graphs: Graphs, num_queries: int = 200) -> int:
    """How many random queries the common-case graph proves; each as the ranking graph answers."""
    ranking, common_case = graphs
    generator = np.random.default_rng(1)
    num_all_proven = 0
    for _ in range(num_queries):
        history = generator.integers(1, NUM_ITEMS + 1, generator.integers(1, 15))
        k = int(generator.integers(1, 60))
        items, scores = common_case.rank(history[None], k)
        expected, expected_scores = ranking.rank(history[None], k, mask_seen=True)
        proven = np.isfinite(scores)
        assert items[proven].tolist() == expected[proven].tolist()
        np.testing.assert_allclose(scores[proven], expected_scores[proven], rtol=1e-5, atol=1e-5)
        num_all_proven += bool(proven.all())
    return num_all_proven


def test_the_graph_has_the_inputs_and_outputs_that_the_bundle_documents(
    common_case_path: Path,
) -> None:
    graph = onnx.load(common_case_path).graph
    assert tuple(each.name for each in (*graph.input, *graph.output)) == COMMON_CASE_TENSORS


def test_a_common_case_query_is_answered_as_by_the_ranking_graph(export: Export) -> None:
    assert num_proven(export(some_vectors(), is_rough=False)) == 200


def test_what_a_rough_search_proves_is_what_the_ranking_graph_answers(export: Export) -> None:
    assert 50 < num_proven(export(some_vectors())) < 200  # few spare ones, and many seen


def test_where_nothing_is_proven_there_is_no_score(export: Export) -> None:
    vectors = some_vectors()
    vectors[7] *= 1_000  # one step of its codes is more than all there is to the others
    graphs = export(vectors)
    assert num_proven(graphs) < 10  # the giant itself is found
    _, scores = graphs[1].rank(np.array([[1, 2]]), 5)
    assert np.isneginf(scores[0, 1:]).all()


@pytest.mark.parametrize("is_rough", [False, True])
def test_where_all_but_three_are_seen_the_other_places_are_not_proven(
    export: Export, is_rough: bool
) -> None:
    _, common_case = export(some_vectors(20), is_rough=is_rough)
    items, scores = common_case.rank(np.arange(1, 18)[None], 5)
    assert set(items[0, :3].tolist()) == {18, 19, 20}
    assert np.isneginf(scores[0, 3:]).all()


@pytest.mark.parametrize("is_rough", [False, True])
def test_queries_of_one_window_length_are_answered_in_a_batch_as_one_by_one(
    export: Export, is_rough: bool
) -> None:
    ranking, common_case = export(some_vectors(), is_rough=is_rough)
    generator = np.random.default_rng(2)
    lengths = generator.integers(WINDOW, 3 * WINDOW, 40)  # all but the newest only mask
    histories = [generator.integers(1, NUM_ITEMS + 1, length) for length in lengths]
    padded = pad_histories(histories, max(lengths))
    items, scores = common_case.rank(padded, 5)
    expected, expected_scores = ranking.rank(padded, 5, mask_seen=True)
    proven = np.isfinite(scores)
    assert items[proven].tolist() == expected[proven].tolist()
    np.testing.assert_allclose(scores[proven], expected_scores[proven], rtol=1e-5, atol=1e-5)
    assert proven.all(axis=1).mean() > (0.5 if is_rough else 0.99)


@pytest.mark.parametrize("is_rough", [False, True])
def test_items_of_equal_vectors_rank_in_index_order(export: Export, is_rough: bool) -> None:
    _, common_case = export(np.repeat(some_vectors(100), 4, axis=0), is_rough=is_rough)
    items, scores = (lines[0] for lines in common_case.rank(np.array([[1, 2]]), 42))
    places = [each for each in range(42) if items[each] > 4]  # the first four are seen in part
    for first in range(0, len(places) - 3, 4):
        same = places[first : first + 4]
        assert len(set(scores[same].tolist())) == 1
        assert np.diff(items[same]).tolist() == [1, 1, 1]


@pytest.mark.parametrize("is_rough", [False, True])
def test_padding_is_not_answered_where_its_zeros_would_score_best(
    export: Export, is_rough: bool
) -> None:
    first = np.eye(1, HIDDEN_SIZE, dtype=np.float32)[0]
    vectors = -np.arange(1, NUM_ITEMS + 1, dtype=np.float32)[:, None] * first
    _, common_case = export(vectors, first, is_rough=is_rough)
    items, scores = common_case.rank(np.array([[11, 12]]), 3)
    assert items.tolist() == [[1, 2, 3]]
    assert scores.tolist() == [[-1, -2, -3]]


def test_a_catalog_too_large_for_more_tables_has_no_common_case_graph(
    student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common_case_graph, "MAX_ROWS", 30)
    assert not export_common_case(student, tmp_path / "plain.onnx")  # of 30 items and padding
    assert not (tmp_path / "plain.onnx").exists()


def test_the_graph_has_no_branch_and_no_constant_that_it_does_not_read(
    common_case_path: Path,
) -> None:
    graph = onnx.load(common_case_path).graph
    assert "If" not in {node.op_type for node in graph.node}
    read = {name for node in graph.node for name in node.input}
    assert {each.name for each in graph.initializer} <= read


@pytest.mark.slow
@pytest.mark.usefixtures("torch_exports")
def test_a_second_export_is_the_same_file_and_names_nothing_of_the_machine(
    student: Student, common_case_path: Path, tmp_path: Path
) -> None:
    assert export_common_case(student, tmp_path / "again.onnx")
    content = common_case_path.read_bytes()
    assert content == (tmp_path / "again.onnx").read_bytes()
    assert b".py" not in content
