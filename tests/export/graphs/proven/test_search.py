"""The rough search, compared with a search through all items."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import helper, parser

from export.contract.tensors import TENSORS
from export.graphs.proven import search
from export.graphs.ranking_graph import export_student
from export.sessions import RankingSession
from tests.export.graphs.searched import (
    HIDDEN_SIZE,
    NUM_ITEMS,
    Vectors,
    check_against_all_scores,
    some_vectors,
    student_of,
)

Export = Callable[..., Path]


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Exports a student of chosen item vectors whose search has few candidates beyond k."""
    monkeypatch.setattr(search, "ROUGH_FROM", 1)
    monkeypatch.setattr(search, "NUM_SPARE", 10)
    monkeypatch.setattr(search, "MAX_CHOSEN", 50)

    def write(vectors: Vectors, query: Vectors | None = None) -> Path:
        export_student(student_of(vectors, query), tmp_path / "model.onnx")
        return tmp_path / "model.onnx"

    return write


def is_proven(path: Path, history: list[int], **more: NDArray[np.generic]) -> bool:
    """Whether the rough search proved the answer."""
    model = onnx.load(path)
    model.graph.output.append(helper.make_empty_tensor_value_info("is_proven"))
    session = ort.InferenceSession(model.SerializeToString())
    feeds = {
        TENSORS.history: np.array([history]),
        TENSORS.excluded: np.zeros((1, 0), dtype=np.int64),
        TENSORS.allowed: np.ones((1, NUM_ITEMS + 1), dtype=np.bool_),
        TENSORS.mask_seen: np.array(True),
        TENSORS.k: np.array([5]),
        TENSORS.added: np.zeros((0, HIDDEN_SIZE), dtype=np.float32),
    }
    return bool(session.run(["is_proven"], feeds | more)[0])


def test_answers_are_those_of_a_search_through_all_items(export: Export) -> None:
    path = export(some_vectors())
    assert is_proven(path, [1, 2])
    check_against_all_scores(path)


def test_where_the_best_are_filtered_out_all_items_are_searched(export: Export) -> None:
    allowed = np.zeros((1, NUM_ITEMS + 1), dtype=np.bool_)
    allowed[0, :20] = True
    assert not is_proven(export(some_vectors()), [1, 2], allowed=allowed)


def test_a_giant_that_spoils_the_codes_of_all_others_does_not_spoil_answers(
    export: Export,
) -> None:
    vectors = some_vectors()
    vectors[7] *= 1_000
    path = export(vectors)
    assert not is_proven(path, [1, 2])
    check_against_all_scores(path)


def test_items_of_equal_vectors_rank_in_index_order(export: Export) -> None:
    path = export(np.repeat(some_vectors(NUM_ITEMS // 4), 4, axis=0))
    ranking, scores = RankingSession(path).rank(np.array([[1, 2]]), 40, mask_seen=False)
    for first in range(0, 40, 4):
        assert len(set(scores[0, first : first + 4].tolist())) == 1
        assert np.diff(ranking[0, first : first + 4]).tolist() == [1, 1, 1]


def test_padding_is_not_answered_where_its_zeros_would_score_best(export: Export) -> None:
    first = np.eye(1, HIDDEN_SIZE, dtype=np.float32)[0]
    vectors = -np.arange(1, NUM_ITEMS + 1, dtype=np.float32)[:, None] * first
    path = export(vectors, first)
    assert is_proven(path, [11, 12])
    ranking, scores = RankingSession(path).rank(np.array([[11, 12]]), 3, mask_seen=True)
    assert ranking.tolist() == [[1, 2, 3]]
    assert scores.tolist() == [[-1, -2, -3]]


def test_added_items_are_found_beside_those_of_the_table(export: Export) -> None:
    vectors = some_vectors()
    added = 2 * vectors[:30] + 1
    of_both = RankingSession(export(np.concatenate([vectors, added])))
    expected = of_both.rank(np.array([[1, 2]]), 50, mask_seen=True)
    graph = RankingSession(export(vectors))
    found = graph.rank(np.array([[1, 2]]), 50, mask_seen=True, added=added)
    assert max(found[0][0]) > NUM_ITEMS
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)


@pytest.mark.parametrize("signs", [(-1, 1), (0, 1), (-1, 0)])
def test_a_query_is_rounded_by_no_more_than_the_bound_says(signs: tuple[int, int]) -> None:
    text = """<ir_version: 10, opset_import: ["": 23]> g (float[n] q) => (float[n] lost)
    { c, step, zero = DynamicQuantizeLinear(q) d = DequantizeLinear(c, step, zero)
      off = Sub(q, d) steps = Div(off, step) lost = Abs(steps) }"""
    session = ort.InferenceSession(parser.parse_model(text).SerializeToString())
    generator = np.random.default_rng(0)
    for _ in range(500):
        query = generator.uniform(*signs, 64).astype(np.float32)
        assert session.run(None, {"q": query})[0].max() <= search.LOST


def test_a_small_catalog_is_searched_through(graph_path: Path) -> None:
    assert "MatMulInteger" not in {node.op_type for node in onnx.load(graph_path).graph.node}
