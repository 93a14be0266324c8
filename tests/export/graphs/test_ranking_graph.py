from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from export.contract.tensors import TENSORS
from export.graphs.ranking_graph import export_student
from export.parity.check import check_parity
from export.sessions import RankingSession
from tests.export.graphs.initializers import every_initializer
from training.settings.student import StudentConfig
from training.students.registry import build_student
from training.students.student import Student

Ranking = tuple[list[int], list[float]]


@dataclass(frozen=True)
class Request:
    """One line of a batch."""

    history: list[int]
    excluded: list[int]
    allowed: list[bool]


@st.composite
def requests(draw: st.DrawFn, num_items: int = 30) -> list[Request]:
    """A batch: equal widths, padding anywhere, items repeated, sometimes nothing allowed."""
    index = st.integers(0, num_items)
    length, width = draw(st.integers(1, 20)), draw(st.integers(0, 5))
    request = st.builds(
        Request,
        history=st.lists(index, min_size=length, max_size=length),
        excluded=st.lists(index, min_size=width, max_size=width),
        allowed=st.lists(st.booleans(), min_size=num_items + 1, max_size=num_items + 1),
    )
    return draw(st.lists(request, min_size=1, max_size=4))


def rank_all(
    graph: RankingSession,
    batch: list[Request],
    k: int,
    *,
    mask_seen: bool,
    added: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return graph.rank(
        np.array([each.history for each in batch]),
        k,
        mask_seen=mask_seen,
        excluded=np.array([each.excluded for each in batch], dtype=np.int64),
        allowed=np.array([each.allowed for each in batch]),
        added=added,
    )


@pytest.fixture(scope="module")
def shorter(
    student: Student, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RankingSession, NDArray[np.float32]]:
    """The graph without its last four items, and their vectors."""
    path = tmp_path_factory.mktemp("shorter") / "model.onnx"
    export_student(without_last_items(student, 4), path)
    return RankingSession(path), student.item_table().detach().numpy()[-4:]


def by_item(item_indices: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores in index order, `[batch, 31]`; what was not answered is -inf."""
    of_items = np.full((len(scores), 31), -np.inf, dtype=np.float32)
    np.put_along_axis(of_items, item_indices, scores, axis=1)
    return of_items


CONFIG = StudentConfig(max_history_length=6, hidden_size=16)


def best(
    graph: RankingSession, history: list[int], k: int = 5, *, mask_seen: bool = True
) -> Ranking:
    item_indices, scores = graph.rank(np.array([history]), k, mask_seen=mask_seen)
    return item_indices[0].tolist(), scores[0].tolist()


def torch_scores(student: Student, history: list[int]) -> NDArray[np.float32]:
    known = [item for item in history if item != 0] or [0]
    with torch.no_grad():
        scores: NDArray[np.float32] = student.score(
            torch.tensor([known[-student.max_history_length :]])
        )[0].numpy()
    return scores


def test_the_graph_has_the_inputs_and_outputs_that_the_bundle_documents(graph_path: Path) -> None:
    graph = onnx.load(graph_path).graph
    assert [each.name for each in (*graph.input, *graph.output)] == list(astuple(TENSORS))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(batch=requests(), k=st.integers(1, 35), mask_seen=st.booleans())
def test_answers_are_those_of_a_search_through_all_items(
    student: Student, graph: RankingSession, batch: list[Request], k: int, mask_seen: bool
) -> None:
    answers = zip(*rank_all(graph, batch, k, mask_seen=mask_seen), strict=True)
    for request, (item_indices, scores) in zip(batch, answers, strict=True):
        of_items = torch_scores(student, request.history)
        seen = request.history if mask_seen else []
        open_items = {index for index in range(1, 31) if request.allowed[index]}
        open_items -= {*seen, *request.excluded}
        expected = sorted((of_items[index] for index in open_items), reverse=True)[:k]
        answered = item_indices[: len(expected)]
        assert set(answered) <= open_items
        assert len(set(answered)) == len(expected)
        np.testing.assert_allclose(of_items[answered], expected, atol=1e-5)
        np.testing.assert_allclose(scores[: len(expected)], expected, atol=1e-5)
        assert item_indices[len(expected) :].tolist() == [0] * (min(k, 30) - len(expected))
        assert np.isneginf(scores[len(expected) :]).all()


@given(batch=requests(), mask_seen=st.booleans())
def test_a_batch_is_answered_as_its_lines_one_by_one(
    graph: RankingSession, batch: list[Request], mask_seen: bool
) -> None:
    together = by_item(*rank_all(graph, batch, 30, mask_seen=mask_seen))
    one_by_one = [by_item(*rank_all(graph, [each], 30, mask_seen=mask_seen)) for each in batch]
    np.testing.assert_allclose(together, np.concatenate(one_by_one), atol=1e-5)


@pytest.mark.parametrize(
    "padded", [[0, 0, 5, 7], [5, 0, 7], [5, 7, 0], [0, 5, 0, 0, 0, 0, 0, 0, 7, 0, 0]]
)
def test_padding_anywhere_equals_its_absence(graph: RankingSession, padded: list[int]) -> None:
    assert best(graph, padded) == best(graph, [5, 7])


@pytest.mark.parametrize(
    ("histories", "num_added", "is_plain"),
    [
        ([[30]], 0, True),
        ([[1, 2, 3, 4, 5, 6, 7, 8]], 2, True),  # longer than the window; added, but not read
        ([[1, 2], [3, 30]], 0, True),
        ([[0, 2]], 0, False),
        ([[1, 2], [3, 0]], 0, False),
        ([[1, 31]], 2, False),
    ],
)
def test_only_a_batch_of_table_items_without_padding_takes_the_common_case_branch(
    graph_path: Path, histories: list[list[int]], num_added: int, is_plain: bool
) -> None:
    model = onnx.load(graph_path)
    model.graph.output.append(onnx.helper.make_tensor_value_info("is_plain", TensorProto.BOOL, []))
    session = ort.InferenceSession(model.SerializeToString())
    feeds = {
        TENSORS.history: np.array(histories),
        TENSORS.excluded: np.zeros((len(histories), 0), dtype=np.int64),
        TENSORS.allowed: np.ones((1, 31 + num_added), dtype=np.bool_),
        TENSORS.mask_seen: np.array(False),
        TENSORS.k: np.array([1]),
        TENSORS.added: np.ones((num_added, 16), dtype=np.float32),
    }
    assert session.run(["is_plain"], feeds) == [is_plain]


def test_unknown_items_take_no_place_in_the_window(graph: RankingSession) -> None:
    """Six known items fill the window, however many unknown ones lie between."""
    history = [1, 2, 3, 0, 0, 0, 0, 4, 5, 0, 6]
    assert best(graph, history) == best(graph, [1, 2, 3, 4, 5, 6])


def test_items_beyond_the_window_are_not_read_but_are_masked(graph: RankingSession) -> None:
    newest = [1, 2, 3, 4, 5, 6]
    favourite = best(graph, newest)[0][0]
    assert best(graph, [favourite, *newest], mask_seen=False) == best(
        graph, newest, mask_seen=False
    )
    assert best(graph, [favourite, *newest], k=4)[0] == best(graph, newest, k=5)[0][1:]


def test_the_order_of_a_history_matters(graph: RankingSession) -> None:
    assert best(graph, [5, 7])[1] != best(graph, [7, 5])[1]


def test_a_history_of_unknown_items_has_one_answer_in_any_length(graph: RankingSession) -> None:
    assert best(graph, [0]) == best(graph, [0] * 20)


@pytest.mark.parametrize(("k", "answered"), [(1, 1), (30, 30), (35, 30)])
def test_k_is_answered_up_to_the_catalog(graph: RankingSession, k: int, answered: int) -> None:
    item_indices, _ = best(graph, [3], k, mask_seen=False)
    assert len(item_indices) == answered
    assert 0 not in item_indices


def test_one_allowed_line_serves_a_whole_batch(graph: RankingSession) -> None:
    allowed = np.zeros((1, 31), dtype=np.bool_)
    allowed[0, [0, 4, 9]] = True
    item_indices, scores = graph.rank(np.array([[1], [2]]), 3, mask_seen=True, allowed=allowed)
    assert [set(line) for line in item_indices.tolist()] == [{4, 9, 0}, {4, 9, 0}]
    assert np.isneginf(scores[:, 2]).all()


def test_equal_scores_rank_in_index_order(
    retabled: Callable[[NDArray[np.float32]], RankingSession],
) -> None:
    graph = retabled(np.zeros((31, 16), dtype=np.float32))
    assert best(graph, [2, 4], k=5) == ([1, 3, 5, 6, 7], [0.0] * 5)


def without_last_items(student: Student, num_cut: int) -> Student:
    """A student without LLM embeddings that has the same vectors but for the last items."""
    shorter = build_student(CONFIG, 31 - num_cut)
    vectors = {"item_table.offsets": student.item_table().detach()[1 : 31 - num_cut]}
    state = {**shorter.state_dict(), **student.state_dict()}
    shared = {name: each for name, each in state.items() if name in shorter.state_dict()}
    shorter.load_state_dict({**shared, **vectors})
    return shorter.eval()


@given(batch=requests(), k=st.integers(1, 35), mask_seen=st.booleans())
def test_added_items_are_read_scored_masked_and_ranked_as_those_of_the_table(
    graph: RankingSession,
    shorter: tuple[RankingSession, NDArray[np.float32]],
    batch: list[Request],
    k: int,
    mask_seen: bool,
) -> None:
    of_table = rank_all(graph, batch, k, mask_seen=mask_seen)
    of_both = rank_all(shorter[0], batch, k, mask_seen=mask_seen, added=shorter[1])
    np.testing.assert_array_equal(of_both[0], of_table[0])
    np.testing.assert_allclose(of_both[1], of_table[1], atol=1e-5)


def test_the_item_table_can_be_asked_for(student: Student, graph_path: Path) -> None:
    session = ort.InferenceSession(graph_path)
    feeds = {
        TENSORS.history: np.array([[1]]),
        TENSORS.excluded: np.array([[0]]),
        TENSORS.allowed: np.ones((1, 31), dtype=np.bool_),
        TENSORS.mask_seen: np.array(False),
        TENSORS.k: np.array([1]),
        TENSORS.added: np.zeros((0, 16), dtype=np.float32),
    }
    (table,) = session.run([TENSORS.table], feeds)
    np.testing.assert_array_equal(table, student.item_table().detach().numpy())


def test_the_item_table_is_stored_once_and_folded(student: Student, graph_path: Path) -> None:
    initializers = every_initializer(onnx.load(graph_path).graph)
    per_item = [each for each in initializers if {30, 31} & set(each.dims) and len(each.dims) > 1]
    assert [each.name for each in per_item] == ["table"]
    table = student.item_table().detach().numpy()
    np.testing.assert_array_equal(numpy_helper.to_array(per_item[0]), table)


def branches(model: onnx.ModelProto) -> dict[str, onnx.GraphProto]:
    """The two branches that read a history."""
    choice = next(node for node in model.graph.node if node.op_type == "If")
    return {each.g.name: each.g for each in choice.attribute}


def test_keys_and_values_are_computed_by_layers_of_their_own(graph_path: Path) -> None:
    nodes = branches(onnx.load(graph_path))["any"].node
    made_by = {output: node.op_type for node in nodes for output in node.output}
    (attention,) = [node for node in nodes if node.op_type == "Attention"]
    assert [made_by[name] for name in attention.input[:3]] == ["Add"] * 3
    assert "Split" not in made_by.values()


@pytest.mark.slow
@pytest.mark.usefixtures("torch_exports")
def test_a_second_export_is_the_same_file_and_names_nothing_of_the_machine(
    student: Student, graph_path: Path, tmp_path: Path
) -> None:
    export_student(student, tmp_path / "again.onnx")
    content = graph_path.read_bytes()
    assert content == (tmp_path / "again.onnx").read_bytes()
    assert b".py" not in content


def test_a_window_of_one_and_a_catalog_of_one_are_exported(tmp_path: Path) -> None:
    config = StudentConfig(max_history_length=1, hidden_size=4, num_layers=1, num_heads=1)
    student = build_student(config, 2)
    export_student(student, tmp_path / "model.onnx")
    graph = RankingSession(tmp_path / "model.onnx")
    assert check_parity(student, graph, num_random=10).max_score_error < 1e-6
    assert best(graph, [1, 1], k=20, mask_seen=False)[0] == [1]
