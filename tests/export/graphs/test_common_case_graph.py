"""The graph of plain questions, held to the ranking graph."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.contract.tensors import COMMON_CASE_TENSORS
from export.graphs import common_case_graph, search
from export.graphs.common_case_graph import export_common_case
from export.graphs.ranking_graph import export_student
from export.sessions import CommonCaseGraph, RankingGraph
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

Graphs = tuple[RankingGraph, CommonCaseGraph]
Export = Callable[..., Graphs]


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Exports a student of some item vectors both ways, roughly searched beyond few items."""

    def write(vectors: Vectors, query: Vectors | None = None, *, is_rough: bool = True) -> Graphs:
        monkeypatch.setattr(search, "ROUGH_FROM", 1 if is_rough else len(vectors) + 2)
        monkeypatch.setattr(search, "NUM_SPARE", 10)
        student = student_of(vectors, query)
        export_student(student, tmp_path / "model.onnx")
        assert export_common_case(student, tmp_path / "plain.onnx")
        return RankingGraph(tmp_path / "model.onnx"), CommonCaseGraph(tmp_path / "plain.onnx")

    return write


def num_known(graphs: Graphs, num_questions: int = 200) -> int:
    """How many random questions the graph of plain questions answers, each as the other does."""
    ranking, plain = graphs
    generator = np.random.default_rng(1)
    known = 0
    for _ in range(num_questions):
        history = generator.integers(1, NUM_ITEMS + 1, generator.integers(1, 15))
        k = int(generator.integers(1, 60))
        items, scores = plain.rank(history[None], k)
        due, due_scores = ranking.rank(history[None], k, mask_seen=True)
        told = np.isfinite(scores)
        assert items[told].tolist() == due[told].tolist()
        np.testing.assert_allclose(scores[told], due_scores[told], rtol=1e-5, atol=1e-5)
        known += bool(told.all())
    return known


def test_it_has_the_inputs_and_outputs_that_the_bundle_documents(common_case_path: Path) -> None:
    graph = onnx.load(common_case_path).graph
    assert tuple(each.name for each in (*graph.input, *graph.output)) == COMMON_CASE_TENSORS


def test_a_plain_question_is_answered_as_the_ranking_graph_does(export: Export) -> None:
    assert num_known(export(some_vectors(), is_rough=False)) == 200


def test_what_a_rough_search_proves_is_what_the_ranking_graph_answers(export: Export) -> None:
    assert 50 < num_known(export(some_vectors())) < 200  # few spare ones, and many seen


def test_where_nothing_is_proven_no_score_is_told(export: Export) -> None:
    vectors = some_vectors()
    vectors[7] *= 1_000  # one step of its codes is more than all there is to the others
    graphs = export(vectors)
    assert num_known(graphs) < 10  # who asks for the giant alone gets it
    _, scores = graphs[1].rank(np.array([[1, 2]]), 5)
    assert np.isneginf(scores[0, 1:]).all()


@pytest.mark.parametrize("is_rough", [False, True])
def test_where_all_but_three_are_seen_the_other_places_are_not_known(
    export: Export, is_rough: bool
) -> None:
    _, plain = export(some_vectors(20), is_rough=is_rough)
    items, scores = plain.rank(np.arange(1, 18)[None], 5)
    assert set(items[0, :3].tolist()) == {18, 19, 20}
    assert np.isneginf(scores[0, 3:]).all()


@pytest.mark.parametrize("is_rough", [False, True])
def test_questions_of_one_window_are_answered_together_as_each_alone(
    export: Export, is_rough: bool
) -> None:
    ranking, plain = export(some_vectors(), is_rough=is_rough)
    generator = np.random.default_rng(2)
    lengths = generator.integers(WINDOW, 3 * WINDOW, 40)  # all but the newest only mask
    histories = [generator.integers(1, NUM_ITEMS + 1, length) for length in lengths]
    padded = pad_histories(histories, max(lengths))
    items, scores = plain.rank(padded, 5)
    due, due_scores = ranking.rank(padded, 5, mask_seen=True)
    told = np.isfinite(scores)
    assert items[told].tolist() == due[told].tolist()
    np.testing.assert_allclose(scores[told], due_scores[told], rtol=1e-5, atol=1e-5)
    assert told.all(axis=1).mean() > (0.5 if is_rough else 0.99)


@pytest.mark.parametrize("is_rough", [False, True])
def test_items_of_equal_vectors_rank_in_index_order(export: Export, is_rough: bool) -> None:
    _, plain = export(np.repeat(some_vectors(100), 4, axis=0), is_rough=is_rough)
    items, scores = (lines[0] for lines in plain.rank(np.array([[1, 2]]), 42))
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
    _, plain = export(vectors, first, is_rough=is_rough)
    items, scores = plain.rank(np.array([[11, 12]]), 3)
    assert items.tolist() == [[1, 2, 3]]
    assert scores.tolist() == [[-1, -2, -3]]


def test_a_catalog_too_large_for_more_tables_has_none(
    student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common_case_graph, "MOST_ROWS", 30)
    assert not export_common_case(student, tmp_path / "plain.onnx")  # of 30 items and padding
    assert not (tmp_path / "plain.onnx").exists()


def test_it_holds_no_choice_and_no_constant_that_it_does_not_read(common_case_path: Path) -> None:
    graph = onnx.load(common_case_path).graph
    assert "If" not in {node.op_type for node in graph.node}
    read = {name for node in graph.node for name in node.input}
    assert {each.name for each in graph.initializer} <= read


def test_an_export_says_nothing_of_the_machine_and_is_the_same_again(
    student: Student, common_case_path: Path, tmp_path: Path
) -> None:
    assert export_common_case(student, tmp_path / "again.onnx")
    content = common_case_path.read_bytes()
    assert content == (tmp_path / "again.onnx").read_bytes()
    assert b".py" not in content
