"""Replaces an encoder's layers that read one item at a time with lookups in precomputed tables.

The first layers of an encoder read each item by itself, so their output for an item is the same in
every history. The rewritten graph applies these layers to the whole item table. The result depends
on constants only, so onnxruntime computes it once, when it opens the graph. For a history, the
graph then looks up the rows of its items. The tables take memory, but the file is not larger.
"""

from collections.abc import Collection, Mapping

import onnx
from onnx import helper

from export.graphs.optimising import drop_unread

# Operators that map each row by itself if all inputs but the first are constant.
ROW_WISE = ("LayerNormalization", "MatMul", "Add", "Mul", "Relu", "Gelu", "Sigmoid")
OF_TABLE = ".of_table"


def precompute_per_item(encoder: onnx.GraphProto) -> None:
    """Rewrites the graph `encoder`, in place, to look up all values that depend on one item only.

    The encoder then has the inputs `window` and `table`, the item table, in place of `vectors`. Its
    first nodes compute a table of each other such value, for all items, from `table`.
    """
    per_item, constants = {"vectors"}, {each.name: len(each.dims) for each in encoder.initializer}
    row_wise = []
    for node in encoder.node:
        if _is_row_wise(node, per_item, constants):
            per_item.update(node.output)
            row_wise.append(node)
    for node in row_wise:
        encoder.node.remove(node)
    insert_lookups(encoder, per_item)
    for place, node in enumerate(row_wise):
        encoder.node.insert(place, _on_whole_table(node, per_item))
    drop_unread(encoder)


def insert_lookups(encoder: onnx.GraphProto, names: Collection[str] = ("vectors",)) -> None:
    """Adds nodes to the graph `encoder` that look up values by the item indices in `window`.

    `names`: names of the values. "vectors" is looked up in `table`, any other value in the table of
    its name with the ending `OF_TABLE`. Names that no node of the encoder reads are ignored.
    """
    inputs = {name for node in encoder.node for name in node.input}
    for place, name in enumerate(sorted(inputs.intersection(names))):
        lookup = helper.make_node("Gather", [_table_of(name), "window"], [name])
        encoder.node.insert(place, lookup)


def _is_row_wise(
    node: onnx.NodeProto, per_item: Collection[str], constants: Mapping[str, int]
) -> bool:
    if not node.input:
        return False
    first, *others = node.input
    # Numbers of axes of a constant that is the same for every row of the first input.
    ranks = (2,) if node.op_type == "MatMul" else (0, 1)
    are_constant = all(constants.get(name) in ranks for name in others)
    is_of_last_axis = all(each.i == -1 for each in node.attribute if each.name == "axis")
    return node.op_type in ROW_WISE and first in per_item and are_constant and is_of_last_axis


def _on_whole_table(node: onnx.NodeProto, per_item: Collection[str]) -> onnx.NodeProto:
    """Returns a copy of `node` that computes its output for all items of the item table.

    `per_item`: names of the inputs that depend on one item; the copy reads their tables instead.
    """
    whole = onnx.NodeProto()
    whole.CopyFrom(node)
    whole.input[:] = [_table_of(name) if name in per_item else name for name in node.input]
    whole.output[:] = map(_table_of, node.output)
    return whole


def _table_of(name: str) -> str:
    return "table" if name == "vectors" else name + OF_TABLE
