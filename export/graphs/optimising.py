"""Optimises the ONNX graph that torch exports: its attention, split layers and masks.

Attention: torch splits queries, keys and values into heads before attention and joins the heads
after it. Each of these four steps takes a Reshape and a Transpose node. ONNX's Attention node can
read and return vectors that are not split, so the eight nodes are removed.

Split layers: some linear layers compute several outputs together, such as keys and values, which a
Split node then separates. Each is replaced by one layer per output, so no run has to split.

Masks: attention weights of masked items are raised from near zero to a small normal number, because
processors are slow on subnormal numbers.
"""

from collections.abc import Container

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Weights = NDArray[np.float32]

SPLIT = ("Transpose", "Reshape")  # nodes that split vectors into heads, last node first
JOINED = ("Transpose", "Reshape")  # nodes that join the heads, first node first
LAST_AXIS = 2  # last axis of [batch, length, hidden]

# Mask value that is added to the attention score of a masked item. It multiplies the item's weight
# by exp(-70): too little to change a float32 sum, yet a normal number, which processors add fast.
# exp(-1e9) underflows.
UNREAD = np.float32(-70)
MASKED = -1e9  # constants of this value or below are masks, not weights


def soften_masks(graph: onnx.GraphProto) -> None:
    """Changes the constants of `graph`: replaces the mask values in them with `UNREAD`.

    Mask values are numbers of at most `MASKED`. The weight of an item that is masked by `UNREAD` is
    negligible, but not subnormal.
    """
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype == np.float32 and (values <= MASKED).any():
            softened = np.where(values <= MASKED, UNREAD, values)
            constant.CopyFrom(numpy_helper.from_array(softened, constant.name))


def fuse_attention(graph: onnx.GraphProto) -> None:
    """Changes `graph`: its Attention nodes read and return `[batch, length, hidden]`.

    The nodes that split vectors into heads before attention, and join them after it, are removed.
    An Attention node stays as it is if its inputs are not split into heads, or its output is not
    joined. Finally calls `split_layers`.
    """
    producer_of = {output: node for node in graph.node for output in node.output}
    heads_of = {info.name: _num_heads(info) for info in graph.value_info}
    for node in [each for each in graph.node if each.op_type == "Attention"]:
        whole = [_before_split(producer_of, name) for name in node.input[:3]]
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
    """Changes `graph`: replaces each linear layer that a Split node follows with several layers.

    Each new layer computes one part of the old layer's output. The weights are split once, at
    export, so that no run has to split the output.
    """
    producer_of = {output: node for node in graph.node for output in node.output}
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        layer = _layer_before(node, producer_of, constants)
        if layer is None:
            graph.node.append(node)
            continue
        operand, *weights = layer
        weight, bias = (np.split(constants[name], len(node.output), axis=-1) for name in weights)
        for part in zip(node.output, weight, bias, strict=True):
            _append_layer(graph, operand, *part)
    drop_unread(graph)


def _append_layer(
    graph: onnx.GraphProto, operand: str, output: str, weight: Weights, bias: Weights
) -> None:
    names = [f"{output}.weight", f"{output}.bias"]
    graph.initializer.extend(map(numpy_helper.from_array, (weight, bias), names))
    graph.node.append(helper.make_node("MatMul", [operand, names[0]], [f"{output}.product"]))
    graph.node.append(helper.make_node("Add", [f"{output}.product", names[1]], [output]))


def _layer_before(
    split: onnx.NodeProto, producer_of: dict[str, onnx.NodeProto], constants: Container[str]
) -> tuple[str, str, str] | None:
    """Finds the linear layer whose output the node `split` divides into equal parts.

    Args:
        split: any node.
        producer_of: the node that computes a value, by name of the value.
        constants: names of the graph's constants.

    Returns:
        The names of the layer's input, weight and bias. None if `split` is not a Split node along
        the last axis, or does not follow a linear layer with constant weight and bias.
    """
    add = producer_of.get(split.input[0]) if split.op_type == "Split" else None
    product = producer_of.get(add.input[0]) if add is not None and add.op_type == "Add" else None
    if add is None or product is None or product.op_type != "MatMul":
        return None
    names = product.input[0], product.input[1], add.input[1]
    into = {each.name: each.i for each in split.attribute}
    is_of_vectors = into.get("axis") in (LAST_AXIS, -1) and "num_outputs" in into
    return names if is_of_vectors and names[1] in constants and names[2] in constants else None


def _before_split(producer_of: dict[str, onnx.NodeProto], name: str) -> str | None:
    """Returns the name of the tensor that is split into attention heads to make the tensor `name`.

    Returns None if `name` is not the result of such a split. `producer_of`: the node that computes
    a value, by name of the value.
    """
    for kind in SPLIT:
        producer = producer_of.get(name)
        if producer is None or producer.op_type != kind:
            return None
        name = producer.input[0]
    return name


def _after_join(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """Returns the last of the nodes that join the attention heads in the tensor `name`.

    Returns None if the graph does not join them.
    """
    node: onnx.NodeProto | None = None
    for kind in JOINED:
        readers = [each for each in graph.node if name in each.input]
        if len(readers) != 1 or readers[0].op_type != kind:
            return None
        (node,) = readers
        name = node.output[0]
    return node


def _num_heads(info: onnx.ValueInfoProto) -> int | None:
    """Returns the number of attention heads in a tensor `[batch, heads, length, size]`.

    Returns None if the tensor does not have four axes, or if the number is not constant.
    """
    sizes = info.type.tensor_type.shape.dim
    return sizes[1].dim_value or None if len(sizes) == 4 else None


def drop_unread(graph: onnx.GraphProto) -> None:
    """Changes `graph`: removes the nodes and constants on which no output depends."""
    read = {each.name for each in graph.output}
    for node in reversed(list(graph.node)):
        if read.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            read.update(node.input)
    for constant in [each for each in graph.initializer if each.name not in read]:
        graph.initializer.remove(constant)
