from pathlib import Path

import numpy as np
import pytest

from export.graphs.encoder_file import read_encoder
from export.graphs.given_encoder import EncoderError
from tests.export.encoders import MEAN, save_encoder

TABLE = np.array([[0, 0], [1, 0], [0, 1]], dtype=np.float32)


def test_a_free_width_needs_a_history_length_and_a_constant_width_is_one(tmp_path: Path) -> None:
    free = save_encoder(tmp_path / "free.onnx")
    constant = save_encoder(tmp_path / "constant.onnx", width="7")

    assert read_encoder(free, TABLE, 5).max_history_length == 5
    assert read_encoder(constant, TABLE).max_history_length == 7
    assert read_encoder(constant, TABLE, 5).max_history_length == 5
    with pytest.raises(EncoderError, match="say how many items of a history it reads"):
        read_encoder(free, TABLE)
    with pytest.raises(EncoderError, match="max_history_length 8: must be from 1 to 7"):
        read_encoder(constant, TABLE, 8)
    with pytest.raises(EncoderError, match="max_history_length 0: must be from 1 to 4096"):
        read_encoder(free, TABLE, 0)
    with pytest.raises(EncoderError, match="max_history_length 0: must be from 1 to 7"):
        read_encoder(constant, TABLE, 0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("window", "sequence", "inputs sequence, vectors; allowed are window, vectors or both"),
        ("query", "answer", "outputs answer; must be one, query"),
        ("int64[batch, WIDTH] w", "int32[batch, WIDTH] w", r"window is int32 \[batch, width\]"),
        ("float[batch, WIDTH, 2]", "double[batch, WIDTH, 2]", "vectors is float64"),
        ("float[batch, WIDTH, 2]", "float[batch, WIDTH]", r"must be float32 \[batch, width, hid"),
        ("[batch, WIDTH] w", "[1, WIDTH] w", "window has the constant batch size 1"),
        ("WIDTH, 2]", "WIDTH, 3]", "vectors has vectors of 3 numbers, those of the items have 2"),
        ("[batch, WIDTH] w", "[batch, 4] w", "have the widths 4 and width; both must be equal"),
    ],
)
def test_an_encoder_of_another_form_is_refused_with_what_is_allowed(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    text = MEAN.replace(old, new)
    # Only the head matters: the nodes of some of these texts do not fit it.
    path = save_encoder(tmp_path / "encoder.onnx", text)
    with pytest.raises(EncoderError, match=message):
        read_encoder(path, TABLE, 5)


@pytest.mark.parametrize("content", [None, b"", b"no model", b"\x08" * 1000])
def test_a_file_that_is_no_model_is_refused_by_name(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "encoder.onnx").write_bytes(content)
    with pytest.raises(EncoderError, match=r"encoder\.onnx: (no such file|not a readable ONNX)"):
        read_encoder(tmp_path / "encoder.onnx", TABLE, 5)


def test_operators_of_other_domains_and_control_flow_are_refused(tmp_path: Path) -> None:
    foreign = MEAN.replace('"": OPSET', '"": OPSET, "com.microsoft": 1').replace(
        "Div(total", "com.microsoft.Gelu(total"
    )
    branching = MEAN.replace(
        "query = Div(total, some)",
        "yes = Equal(one, one)\n query = If(yes) <then_branch = a () => (float[batch, 2] x)"
        "{ x = Div(total, some) }, else_branch = b () => (float[batch, 2] y)"
        "{ y = Div(total, some) }>",
    )
    with pytest.raises(EncoderError, match=r"operators of com\.microsoft; only those of ai\.onnx"):
        read_encoder(save_encoder(tmp_path / "foreign.onnx", foreign), TABLE, 5)
    with pytest.raises(EncoderError, match="has If; export the encoder without control flow"):
        read_encoder(save_encoder(tmp_path / "branching.onnx", branching), TABLE, 5)


def test_a_query_that_is_not_finite_or_has_another_size_is_refused(tmp_path: Path) -> None:
    empty = MEAN.replace("some = Max(count, one)", "some = Sub(count, count)")
    encoder = read_encoder(save_encoder(tmp_path / "encoder.onnx", empty), TABLE, 5)
    with pytest.raises(EncoderError, match=r"query for windows \(1, 2\) is not finite"):
        encoder.queries([np.array([1, 2])])
