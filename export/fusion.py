"""Fuses what torch's exporter writes apart: attention over whole vectors.

torch splits queries, keys and values into heads before attention and joins the heads after it, a
reshape and a copy each. ONNX's operator takes them whole, and needs none of the eight.
"""

import onnx
from onnx import helper

SPLIT = ("Transpose", "Reshape")  # read backwards
JOINED = ("Transpose", "Reshape")


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
    _drop_unread(graph)


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


def _drop_unread(graph: onnx.GraphProto) -> None:
    read = {each.name for each in graph.output}
    for node in reversed(list(graph.node)):
        if read.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            read.update(node.input)
    for constant in [each for each in graph.initializer if each.name not in read]:
        graph.initializer.remove(constant)
