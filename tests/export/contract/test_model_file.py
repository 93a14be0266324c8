"""ONNX files without one of their outputs, and the shapes of their constants."""

import onnx
import pytest
from onnx import TensorProto, helper

from distilled_recommender.files import BUNDLE, carried
from export.contract.model_file import shapes_of_constants, without_output

MODEL = carried(BUNDLE) / "model.onnx"


def test_only_the_named_output_goes() -> None:
    expected = onnx.load(MODEL)
    assert [each.name for each in expected.graph.output] == ["item_indices", "scores", "table"]
    del expected.graph.output[2]
    assert onnx.load_from_string(without_output(MODEL.read_bytes(), "table")) == expected


def test_a_file_without_this_output_stays_as_it_is_to_the_byte() -> None:
    for name in ("", "tabl", "history"):
        assert without_output(MODEL.read_bytes(), name) == MODEL.read_bytes()


def test_an_output_of_an_inner_graph_stays() -> None:
    info = helper.make_tensor_value_info("table", TensorProto.FLOAT, [1])
    node = helper.make_node("Constant", [], ["table"], value_floats=[1.0])
    branch = helper.make_graph([node], "branch", [], [info])
    choice = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    model = helper.make_model(helper.make_graph([choice], "outer", [condition], [info]))
    left = onnx.load_from_string(without_output(model.SerializeToString(), "table")).graph
    assert list(left.output) == []
    assert list(left.node) == [choice]


def test_shapes_of_constants_are_read_whatever_else_the_graph_has() -> None:
    shapes = {each.name: tuple(each.dims) for each in onnx.load(MODEL).graph.initializer}
    assert len(shapes["table"]) == 2
    assert len(set(shapes.values())) > 2
    assert shapes_of_constants(MODEL.read_bytes(), shapes) == shapes
    wanted = {"table": shapes["table"]}
    assert shapes_of_constants(MODEL.read_bytes(), ["table", "absent"]) == wanted


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x3a", "byte 1: no whole number"),
        (b"\x3a\x05abc", "byte 0: a field is longer than its message"),
        (b"\x08\x01\x09abc", "byte 2: a field is longer than its message"),
        (b"\x3b", "byte 0: no field of a message"),
        (b"\xff" * 11, "byte 0: no whole number"),
    ],
)
def test_what_is_no_message_is_refused_with_the_place(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        without_output(content, "table")
