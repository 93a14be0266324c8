"""Reads and checks the ONNX file of a `GivenEncoder`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, inliner, version_converter

from export.contract.manifest import MAX_HISTORY_LENGTH
from export.graphs.encoder import OPSET
from export.graphs.given_encoder import QUERY, VECTORS, WINDOW, EncoderError, GivenEncoder

CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})
# The element type of each tensor, the names of its axes, and both in words.
_TENSORS: Mapping[str, tuple[int, Sequence[str], str]] = {
    WINDOW: (TensorProto.INT64, ("batch", "width"), "int64 [batch, width]"),
    VECTORS: (TensorProto.FLOAT, ("batch", "width", "hidden"), "float32 [batch, width, hidden]"),
    QUERY: (TensorProto.FLOAT, ("batch", "hidden"), "float32 [batch, hidden]"),
}


def read_encoder(
    path: Path, table: NDArray[np.float32], max_history_length: int | None = None
) -> GivenEncoder:
    """Reads and checks an encoder.

    Args:
        path: the ONNX file.
        table: `[items + 1, hidden]`, the item vectors; row 0, padding, is zero.
        max_history_length: number of newest items that the encoder reads; None: the constant width
            of its windows.

    Raises:
        EncoderError: the file is not an encoder of the form that `given_encoder` describes, or
            `max_history_length` is missing or not allowed.
    """
    model = _load(path)
    constants = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in constants]
    _check_names(path, inputs, model.graph.output)
    for tensor in (*inputs, *model.graph.output):
        _check_tensor(path, tensor, table.shape[1])
    width = _constant_width(path, inputs)
    return GivenEncoder(
        path=path,
        model=_converted(path, model),
        table=table,
        max_history_length=_history_length(path, width, max_history_length),
        width=width,
        session=_opened(path),
    )


def encoder_files(path: Path) -> list[Path]:
    """Returns the files of a readable encoder: `path` and those of its external data, by name."""
    model = onnx.load(path, load_external_data=False)
    external = {
        entry.value
        for tensor in _tensors(model)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return [path, *(path.parent / location for location in sorted(external))]


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    nodes = [*model.graph.node, *(node for each in model.functions for node in each.node)]
    for attribute in (each for node in nodes for each in node.attribute):
        yield attribute.t
        yield from attribute.tensors


def _load(path: Path) -> onnx.ModelProto:
    """Reads an ONNX model and inlines its functions.

    Raises:
        EncoderError: the file cannot be read, or uses control flow or operators of other domains
            than `ai.onnx`.
    """
    try:
        model = inliner.inline_local_functions(onnx.load(path))
        onnx.checker.check_model(model)
    except FileNotFoundError:
        raise EncoderError(f"{path}: no such file") from None
    except Exception as error:  # protobuf's and onnx's errors have no common class
        raise EncoderError(f"{path}: not a readable ONNX model: {error}") from error
    if foreign := {node.domain for node in model.graph.node} - {"", "ai.onnx"}:
        raise EncoderError(
            f"{path}: operators of {', '.join(sorted(foreign))}; only those of ai.onnx are allowed"
        )
    if branches := CONTROL_FLOW.intersection(node.op_type for node in model.graph.node):
        raise EncoderError(
            f"{path}: has {', '.join(sorted(branches))}; export the encoder without control flow"
        )
    return model


def _converted(path: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """Converts a model to `OPSET`, the opset of the bundle's graphs.

    Raises:
        EncoderError: onnx cannot convert the model.
    """
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter raises RuntimeError and its own errors
        raise EncoderError(
            f"{path}: cannot be converted to opset {OPSET}: {error}; export it in that opset"
        ) from error


def _opened(path: Path) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        raise EncoderError(f"{path}: onnxruntime cannot open it: {error}") from error


def _check_names(
    path: Path, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
) -> None:
    names = [each.name for each in inputs]
    if not names or not {*names} <= {WINDOW, VECTORS}:
        raise EncoderError(
            f"{path}: inputs {', '.join(names) or 'none'}; allowed are {WINDOW}, {VECTORS} or both"
        )
    if [each.name for each in outputs] != [QUERY]:
        found = ", ".join(each.name for each in outputs)
        raise EncoderError(f"{path}: outputs {found}; must be one, {QUERY}")


def _check_tensor(path: Path, tensor: onnx.ValueInfoProto, hidden_size: int) -> None:
    element_type, axes, expected = _TENSORS[tensor.name]
    sizes, found_type = _sizes(tensor), tensor.type.tensor_type.elem_type
    # An exporter need not know the output's sizes. Runs of the encoder check them.
    is_unknown = tensor.name == QUERY and not sizes
    if found_type != element_type or (len(sizes) != len(axes) and not is_unknown):
        shown = helper.tensor_dtype_to_np_dtype(found_type).name
        listed = ", ".join(map(str, sizes))
        raise EncoderError(f"{path}: {tensor.name} is {shown} [{listed}]; must be {expected}")
    known = dict(zip(axes, sizes, strict=False))
    if isinstance(known.get("batch"), int):
        raise EncoderError(
            f"{path}: {tensor.name} has the constant batch size {known['batch']}; "
            "export it with a free (dynamic) batch size"
        )
    if known.get("hidden") not in (None, "", hidden_size) and isinstance(known["hidden"], int):
        raise EncoderError(
            f"{path}: {tensor.name} has vectors of {known['hidden']} numbers, those of the items "
            f"have {hidden_size}; both must be equal"
        )


def _sizes(tensor: onnx.ValueInfoProto) -> list[int | str]:
    """Returns the size of each axis: a number if constant, else a name, which can be empty."""
    sizes = tensor.type.tensor_type.shape.dim
    return [each.dim_value if each.HasField("dim_value") else each.dim_param for each in sizes]


def _constant_width(path: Path, inputs: Sequence[onnx.ValueInfoProto]) -> int | None:
    widths = [_sizes(each)[1] for each in inputs]
    constant = {width if isinstance(width, int) else None for width in widths}
    if len(constant) > 1:
        shown = " and ".join(map(str, widths))
        raise EncoderError(f"{path}: its inputs have the widths {shown}; both must be equal")
    return constant.pop()


def _history_length(path: Path, width: int | None, wanted: int | None) -> int:
    length = width if wanted is None else wanted
    longest = min(width or MAX_HISTORY_LENGTH, MAX_HISTORY_LENGTH)
    if length is None:
        raise EncoderError(
            f"{path}: its windows have a free width; say how many items of a history it reads "
            "(--max-history-length)"
        )
    if not 1 <= length <= longest:
        raise EncoderError(f"{path}: max_history_length {length}: must be from 1 to {longest}")
    return length
