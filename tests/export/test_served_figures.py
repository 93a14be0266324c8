from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper

from export.contract.bundle import Item
from export.contract.tensors import TENSORS
from export.figures import measure, metrics_of
from export.freeze import export_graphs, freeze, items_of
from export.graphs.query_encoder import QueryEncoder
from export.served_figures import served_ranker
from tests.export.conftest import CONFIG, NUM_ITEMS
from training.data.dataset import Dataset, Split
from training.distillation.checkpoint import Checkpoint
from training.evaluation.yardstick import ranker_of
from training.students.registry import build_student
from training.students.scorer import StudentScorer
from training.students.student import Student

WINDOW = 6


@pytest.fixture
def reversed_path(common_case_path: Path, tmp_path: Path) -> Path:
    """The common-case graph, but it returns the best items worst first."""
    return changed(common_case_path, tmp_path / "reversed.onnx", reverse)


@pytest.fixture
def unsure_path(common_case_path: Path, tmp_path: Path) -> Path:
    """The common-case graph, but every score says that nothing is proven."""
    return changed(common_case_path, tmp_path / "unsure.onnx", prove_nothing)


def changed(path: Path, changed_path: Path, change: Callable[[onnx.GraphProto], None]) -> Path:
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, changed_path)
    return changed_path


def renamed(graph: onnx.GraphProto, output: str) -> str:
    """Frees the name of an output; the value that had it gets another."""
    for node in graph.node:
        node.output[:] = [f"true_{each}" if each == output else each for each in node.output]
    return f"true_{output}"


def reverse(graph: onnx.GraphProto) -> None:
    items = renamed(graph, TENSORS.item_indices)
    for name, value in {"last": -1, "before_first": -(2**62), "items_axis": 1}.items():
        graph.initializer.append(helper.make_tensor(f"reverse_{name}", 7, [1], [value]))
    bounds = ["reverse_last", "reverse_before_first", "reverse_items_axis", "reverse_last"]
    graph.node.append(helper.make_node("Slice", [items, *bounds], [TENSORS.item_indices]))


def prove_nothing(graph: onnx.GraphProto) -> None:
    scores = renamed(graph, TENSORS.scores)
    graph.initializer.append(helper.make_tensor("unproven", 1, [], [-np.inf]))
    graph.initializer.append(helper.make_tensor("zero_score", 1, [], [0.0]))
    graph.node.append(helper.make_node("Mul", [scores, "zero_score"], ["no_score"]))
    graph.node.append(helper.make_node("Add", ["no_score", "unproven"], [TENSORS.scores]))


@pytest.fixture
def items(dataset: Dataset) -> list[Item]:
    return list(items_of(dataset))


@pytest.fixture
def rows(dataset: Dataset) -> NDArray[np.int64]:
    return dataset.example_rows(Split.TEST)


@pytest.fixture
def expected(student: Student, dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.integer]:
    """How torch ranks the test examples."""
    return ranker_of(StudentScorer(student, dataset), dataset)(rows)


@pytest.mark.parametrize("has_common_case", [True, False])
def test_the_served_ranking_of_every_row_is_that_of_torch(
    has_common_case: bool,
    graph_path: Path,
    common_case_path: Path,
    dataset: Dataset,
    rows: NDArray[np.int64],
    expected: NDArray[np.integer],
    items: list[Item],
) -> None:
    common_case = common_case_path if has_common_case else None
    served = served_ranker(graph_path, common_case, dataset, WINDOW, items)(rows)
    assert served.shape == (12, 20)
    np.testing.assert_array_equal(served, expected)


def test_the_common_case_graph_is_asked_first(
    graph_path: Path,
    reversed_path: Path,
    dataset: Dataset,
    rows: NDArray[np.int64],
    expected: NDArray[np.integer],
    items: list[Item],
) -> None:
    """The shortest histories leave 20 unseen items, so the first row is full."""
    served = served_ranker(graph_path, reversed_path, dataset, WINDOW, items)(rows)
    assert expected[0].all()
    np.testing.assert_array_equal(served[0], expected[0, ::-1])


def test_the_ranking_graph_ranks_where_the_common_case_graph_proves_nothing(
    graph_path: Path,
    unsure_path: Path,
    dataset: Dataset,
    rows: NDArray[np.int64],
    expected: NDArray[np.integer],
    items: list[Item],
) -> None:
    served = served_ranker(graph_path, unsure_path, dataset, WINDOW, items)(rows)
    np.testing.assert_array_equal(served, expected)


def test_a_common_case_graph_that_ranks_otherwise_changes_the_figures_of_the_manifest(
    checkpoint: Checkpoint,
    student: Student,
    dataset: Dataset,
    reversed_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The parity check, which would refuse such a graph, is switched off."""
    in_torch = measure(ranker_of(StudentScorer(student, dataset), dataset), dataset, "torch")

    def export_reversed(_: QueryEncoder, path: Path) -> bool:
        path.write_bytes(reversed_path.read_bytes())
        return True

    monkeypatch.setattr("export.freeze.export_common_case_graph", export_reversed)
    monkeypatch.setattr("export.parity.comparison.Comparison.is_parity", True)
    manifest = freeze(checkpoint, dataset, tmp_path / "bundle", {})
    assert manifest.metrics["test"] != metrics_of(in_torch)["test"]


def test_a_student_without_titles_is_served_as_torch_ranks(
    dataset: Dataset, tmp_path: Path
) -> None:
    """The student reads ten of thirty items, and none of some histories: popularity answers."""
    readable = torch.arange(NUM_ITEMS + 1) % 3 == 1
    torch.manual_seed(0)
    student = build_student(CONFIG, NUM_ITEMS + 1, readable=readable).eval()
    graphs = export_graphs(student, tmp_path, num_random=20)
    rows = dataset.example_rows(Split.TEST)
    some_unread = [not readable[dataset.history(int(row))].any() for row in rows]
    items = list(items_of(dataset, readable.numpy()))

    served = served_ranker(graphs.model, graphs.common_case, dataset, WINDOW, items)(rows)

    assert any(some_unread)
    assert not all(some_unread)
    expected = ranker_of(StudentScorer(student, dataset), dataset)(rows)
    np.testing.assert_array_equal(served, expected)
    assert [item.is_read for item in items] == readable[1:].tolist()
