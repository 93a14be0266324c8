"""Looks up what would be made of each item alone: made of the whole table, once.

The first layers of an encoder read every item by itself. What they make of an item is the same in
every history, so it is made of all items when the graph is opened (onnxruntime folds what depends
on constants alone), and a history picks its rows. The file does not grow; the memory does.
"""

from collections.abc import Collection, Mapping

import onnx
from onnx import helper

from export.graphs.fusion import drop_unread

# Operators that make of each vector another one, where all but their first input is constant.
ROW_WISE = ("LayerNormalization", "MatMul", "Add", "Mul", "Relu", "Gelu")
OF_TABLE = ".of_table"


def precompute_per_item(encoder: onnx.GraphProto) -> None:
    """Lets `encoder` look its items up, by `window` in `table`, and whatever is row-wise of them.

    What stands first makes further tables of `table`.
    """
    alone, constants = {"vectors"}, {each.name: len(each.dims) for each in encoder.initializer}
    of_table = []
    for node in encoder.node:
        if _is_row_wise(node, alone, constants):
            alone.update(node.output)
            of_table.append(node)
    for node in of_table:
        encoder.node.remove(node)
    insert_lookups(encoder, alone)
    for place, node in enumerate(of_table):
        encoder.node.insert(place, _of_whole_table(node, alone))
    drop_unread(encoder)


def insert_lookups(encoder: onnx.GraphProto, names: Collection[str] = ("vectors",)) -> None:
    """Lets `encoder` look up those of `names` that it reads, by `window`, each in its table."""
    read = {name for node in encoder.node for name in node.input}
    for place, name in enumerate(sorted(read.intersection(names))):
        lookup = helper.make_node("Gather", [_table_of(name), "window"], [name])
        encoder.node.insert(place, lookup)


def _is_row_wise(
    node: onnx.NodeProto, alone: Collection[str], constants: Mapping[str, int]
) -> bool:
    first, *others = node.input
    allowed = (2,) if node.op_type == "MatMul" else (0, 1)  # what differs by column, not by row
    are_constant = all(constants.get(name) in allowed for name in others)
    is_of_last_axis = all(each.i == -1 for each in node.attribute if each.name == "axis")
    return node.op_type in ROW_WISE and first in alone and are_constant and is_of_last_axis


def _of_whole_table(node: onnx.NodeProto, alone: Collection[str]) -> onnx.NodeProto:
    whole = onnx.NodeProto()
    whole.CopyFrom(node)
    whole.input[:] = [_table_of(name) if name in alone else name for name in node.input]
    whole.output[:] = map(_table_of, node.output)
    return whole


def _table_of(name: str) -> str:
    return "table" if name == "vectors" else name + OF_TABLE
