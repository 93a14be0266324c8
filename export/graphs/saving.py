"""Writes a graph to its file, and large constants to files beside it."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import checker, helper, numpy_helper

from export.graphs.proven.search import Constants


def add_constants(
    graph: onnx.GraphProto, constants: Constants, path: Path, apart: Collection[str] = ()
) -> None:
    """Adds constants to `graph`, which will be saved to the file `path`.

    The constants named in `apart` are written to files `NAME.npy` beside `path`, without a copy of
    them in memory.
    """
    for name, values in constants.items():
        if name in apart:
            graph.initializer.append(_put_apart(name, values, path.with_name(f"{name}.npy")))
        else:
            graph.initializer.append(numpy_helper.from_array(values, name))


def save_graph(model: onnx.ModelProto, path: Path) -> None:
    """Writes a graph to the file `path` and checks it with ONNX's checker.

    Encoders must have replaced all placeholder nodes; the domain of these nodes is removed from
    `model`.
    """
    del model.opset_import[1]  # the domain of the placeholder nodes, which are all replaced
    onnx.save(model, path)
    checker.check_model(path, full_check=True)


def _put_apart(name: str, values: NDArray[np.generic], path: Path) -> onnx.TensorProto:
    """Writes `values` to the .npy file `path`; returns a constant that refers to it."""
    writing = path.with_suffix(".writing")
    with writing.open("wb") as file:
        np.lib.format.write_array(file, values, allow_pickle=False)
        begin = file.tell() - values.nbytes
    writing.replace(path)  # a session may have mapped the old file
    constant = onnx.TensorProto(
        name=name,
        dims=values.shape,
        data_type=helper.np_dtype_to_tensor_dtype(values.dtype),
        data_location=onnx.TensorProto.EXTERNAL,
    )
    for key, value in {"location": path.name, "offset": begin, "length": values.nbytes}.items():
        constant.external_data.add(key=key, value=str(value))
    return constant
