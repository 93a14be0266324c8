"""Fuses what torch's exporter writes apart: attention over whole vectors.

torch splits queries, keys and values into heads before attention and joins the heads after it, a
reshape and a copy each. ONNX's operator takes them whole, and needs none of the eight. What one
layer makes of keys and values together needs no split where its weights are split. And what a
mask forbids becomes a little less forbidden: numbers that are almost nothing are slow.
"""

from collections.abc import Container

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Weights = NDArray[np.float32]

SPLIT = ("Transpose", "Reshape")  # read backwards
JOINED = ("Transpose", "Reshape")
LAST_AXIS = 2  # of [batch, length, hidden]

# Its share of what is read is exp(-70) of what an item as relevant would have: nothing in float32,
# but a number that processors count with as fast as with any other. exp(-1e9) is not.
UNREAD = np.float32(-70)
FORBIDDEN = -1e9  # and below: no weight, but a mask


def soften_masks(graph: onnx.GraphProto) -> None:
    """Makes `UNREAD` of each constant of `graph` that keeps attention from reading an item."""
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype == np.float32 and (values <= FORBIDDEN).any():
            softened = np.where(values <= FORBIDDEN, UNREAD, values)
            constant.CopyFrom(numpy_helper.from_array(softened, constant.name))


def fuse_attention(graph: onnx.GraphProto) -> None:
    """Hands each Attention of `graph` its operands as `[batch, length, hidden]`.

    One that does not stand between splits and a join stays as it is.
    """
    maker_of = {output: node for node in graph.node for output in node.output}
    heads_of = {info.name: _num_heads(info) for info in graph.value_info}
    for node in [each for each in graph.node if each.op_type == "Attention"]:
        whole = [_before_split(maker_of, name) for name in node.input[:3]]
        joined = _after_join(graph, node.output[0])
        num_heads = heads_of.get(node.input[0])
        if joined is None or num_heads is None or None in whole:
            continue
        node.input[:3] = whole
        node.output[0], joined.output[0] = joined.output[0], node.output[0]
        for name in ("q_num_heads", "kv_num_heads"):
            node.attribute.append(helper.make_attribute(name, num_heads))
    split_layers(graph)


def split_layers(graph: onnx.GraphProto) -> None:
    """Makes a layer for each part of a layer whose output is split: no copies of the parts."""
    maker_of = {output: node for node in graph.node for output in node.output}
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        layer = _layer_before(node, maker_of, constants)
        if layer is None:
            graph.node.append(node)
            continue
        read, *weights = layer
        weight, bias = (np.split(constants[name], len(node.output), axis=-1) for name in weights)
        for part in zip(node.output, weight, bias, strict=True):
            _append_layer(graph, read, *part)
    drop_unread(graph)


def _append_layer(
    graph: onnx.GraphProto, read: str, output: str, weight: Weights, bias: Weights
) -> None:
    names = [f"{output}.weight", f"{output}.bias"]
    graph.initializer.extend(map(numpy_helper.from_array, (weight, bias), names))
    graph.node.append(helper.make_node("MatMul", [read, names[0]], [f"{output}.product"]))
    graph.node.append(helper.make_node("Add", [f"{output}.product", names[1]], [output]))


def _layer_before(
    split: onnx.NodeProto, maker_of: dict[str, onnx.NodeProto], constants: Container[str]
) -> tuple[str, str, str] | None:
    """What the layer before an even split of vectors reads, its weight and its bias."""
    add = maker_of.get(split.input[0]) if split.op_type == "Split" else None
    product = maker_of.get(add.input[0]) if add is not None and add.op_type == "Add" else None
    if add is None or product is None or product.op_type != "MatMul":
        return None
    names = product.input[0], product.input[1], add.input[1]
    into = {each.name: each.i for each in split.attribute}
    is_of_vectors = into.get("axis") in (LAST_AXIS, -1) and "num_outputs" in into
    return names if is_of_vectors and names[1] in constants and names[2] in constants else None


def _before_split(maker_of: dict[str, onnx.NodeProto], name: str) -> str | None:
    for kind in SPLIT:
        maker = maker_of.get(name)
        if maker is None or maker.op_type != kind:
            return None
        name = maker.input[0]
    return name


def _after_join(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """The node that makes the whole vectors."""
    node: onnx.NodeProto | None = None
    for kind in JOINED:
        readers = [each for each in graph.node if name in each.input]
        if len(readers) != 1 or readers[0].op_type != kind:
            return None
        (node,) = readers
        name = node.output[0]
    return node


def _num_heads(info: onnx.ValueInfoProto) -> int | None:
    """Of `[batch, heads, length, size]`."""
    sizes = info.type.tensor_type.shape.dim
    return sizes[1].dim_value or None if len(sizes) == 4 else None


def drop_unread(graph: onnx.GraphProto) -> None:
    """Removes nodes and constants of `graph` from which no output follows."""
    read = {each.name for each in graph.output}
    for node in reversed(list(graph.node)):
        if read.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            read.update(node.input)
    for constant in [each for each in graph.initializer if each.name not in read]:
        graph.initializer.remove(constant)
