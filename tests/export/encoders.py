"""Encoders in ONNX for tests, as another program would export them."""

from pathlib import Path

import onnx
from onnx import parser

MEAN = """
<ir_version: 10, opset_import: ["": OPSET]>
mean (int64[batch, WIDTH] window, float[batch, WIDTH, 2] vectors) => (float[batch, 2] query)
<int64[1] axis = {1}, float one = {1}, int64 zero = {0}>
{
    is_item = Greater(window, zero)
    ones = Cast<to = 1>(is_item)
    count = ReduceSum(ones, axis)
    some = Max(count, one)
    total = ReduceSum<keepdims = 0>(vectors, axis)
    query = Div(total, some)
}
"""
NEWEST_BY_INDEX = """
<ir_version: 10, opset_import: ["": 23]>
newest (int64[batch, width] window) => (float[batch, 2] query)
<float[5, 2] own = {0, 0, 1, 0, 0, 1, 3, 1, 1, 2}, int64 last = {-1}>
{
    newest = Gather<axis = 1>(window, last)
    query = Gather(own, newest)
}
"""


def save_encoder(path: Path, text: str = MEAN, *, width: str = "width", opset: int = 23) -> Path:
    """Writes the encoder `text`, in ONNX's text form, to `path`; returns `path`."""
    filled = text.replace("WIDTH", width).replace("OPSET", str(opset))
    onnx.save(parser.parse_model(filled), path)
    return path
