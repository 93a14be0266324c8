from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from export.graphs.item_lookup import insert_lookups, precompute_per_item

TABLE = np.array([[0, 0], [1, 2], [3, -4], [5, 6]], dtype=np.float32)
CONSTANTS = {
    "turn": np.array([[0, 1], [-1, 0]], dtype=np.float32),
    "shift": np.array([10, 20], dtype=np.float32),
    "by_row": np.array([[[1, 1], [2, 2]]], dtype=np.float32),
}
# Each item is rotated, shifted and rectified by itself; then positions are added.
ENCODER = """
encoder (int64[1, 2] window, float[1, 2, 2] vectors) => (float[1, 2, 2] query) {
    turned = MatMul(vectors, turn)
    shifted = Add(turned, shift)
    rectified = Relu(shifted)
    placed = Mul(rectified, by_row)
    query = Add(placed, vectors)
}
"""


@pytest.fixture
def encoder() -> onnx.GraphProto:
    graph: onnx.GraphProto = parser.parse_graph(ENCODER)
    for name, value in CONSTANTS.items():
        graph.initializer.append(numpy_helper.from_array(value, name))
    return graph


def operators(graph: onnx.GraphProto) -> list[str]:
    return [node.op_type for node in graph.node]


def run(encoder: onnx.GraphProto) -> NDArray[np.float32]:
    graph = onnx.GraphProto(
        name="encoder",
        node=encoder.node,
        initializer=encoder.initializer,
        input=encoder.input[:1],
        output=encoder.output,
    )
    graph.initializer.append(numpy_helper.from_array(TABLE, "table"))
    model = onnx.helper.make_model(
        graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 23)]
    )
    session = ort.InferenceSession(model.SerializeToString())
    (query,) = session.run(["query"], {"window": np.array([[3, 2]])})
    answer: NDArray[np.float32] = query
    return answer


def test_values_of_one_item_are_computed_from_the_table_and_looked_up(
    encoder: onnx.GraphProto,
) -> None:
    precompute_per_item(encoder)
    of_table, of_history = ["MatMul", "Add", "Relu"], ["Gather", "Gather", "Mul", "Add"]
    assert operators(encoder) == of_table + of_history
    # (5, 6) turns to (-6, 5), shifts to (4, 25); (3, -4) to (4, 3) and (14, 23).
    assert run(encoder).tolist() == [[[4 + 5, 25 + 6], [28 + 3, 46 - 4]]]


def test_a_constant_may_be_read_by_items_and_by_histories(encoder: onnx.GraphProto) -> None:
    """As all norms share one where training has not moved them yet."""
    encoder.node[3].input[1] = "shift"
    precompute_per_item(encoder)
    assert sorted(each.name for each in encoder.initializer) == ["shift", "turn"]
    # (4, 25) times (10, 20) and (5, 6); (14, 23) times (10, 20) and (3, -4).
    assert run(encoder).tolist() == [[[45, 506], [143, 456]]]


@pytest.mark.parametrize(
    "layer",
    [
        "read = LayerNormalization<axis = 1>(vectors, shift)",
        "read = MatMul(vectors, shift)",
        "read = Add(vectors, by_row)",
        "read = Softmax<axis = 1>(vectors)",
        "read = MatMul(turn, vectors)",
    ],
)
def test_values_of_several_items_are_computed_from_the_history(layer: str) -> None:
    encoder = parser.parse_graph(
        "encoder (int64[1, 2] window, float[1, 2, 2] vectors) => (float[1, 2, 2] query) {"
        f"{layer} query = Relu(read) }}"
    )
    for name, value in CONSTANTS.items():
        encoder.initializer.append(numpy_helper.from_array(value, name))
    precompute_per_item(encoder)
    assert operators(encoder) == ["Gather", layer.split()[2].split("<")[0].split("(")[0], "Relu"]


def test_an_encoder_without_further_tables_looks_up_vectors_only(encoder: onnx.GraphProto) -> None:
    insert_lookups(encoder)
    assert operators(encoder) == ["Gather", "MatMul", "Add", "Relu", "Mul", "Add"]
    assert run(encoder).tolist() == [[[9, 31], [31, 42]]]


def test_the_tables_of_an_exported_graph_are_computed_when_it_is_opened(
    common_case_path: Path, optimised: Callable[[Path], onnx.GraphProto]
) -> None:
    stored, opened = onnx.load(common_case_path).graph, optimised(common_case_path)
    made = {name for node in stored.node for name in node.output if name.endswith(".of_table")}
    assert len(made) > 2  # queries, keys, values, and what they are made from
    assert made.isdisjoint(name for node in opened.node for name in node.output)


@pytest.fixture
def optimised(tmp_path: Path) -> Callable[[Path], onnx.GraphProto]:
    def optimise(path: Path) -> onnx.GraphProto:
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        options.log_severity_level = 3  # it warns that such a file is for this machine only
        ort.InferenceSession(path, options)
        graph: onnx.GraphProto = onnx.load(options.optimized_model_filepath).graph
        return graph

    return optimise
