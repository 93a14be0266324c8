"""Freezes a student into the ranking graph: one ONNX file that holds all of serving's semantics.

What serving means is written once, below, in ONNX's own text form, with the student as a single
node; that node gives way to what torch's exporter makes of `Student.encode_newest`. So the model's
mathematics has one definition, in torch, and the window, the masks and top-k have one, here.
They are written, not traced: their sizes depend on data (the longest history of a batch, `k`),
which is plain in ONNX and a fight in `torch.export`; the tracing exporter before it is deprecated.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

import onnx
import torch
from onnx import checker, compose, numpy_helper, parser
from torch import Tensor, nn

from export.fusion import fuse_attention, soften_masks
from export.search import search_constants, search_text
from training.students.student import Student

OPSET = 23
ITEMS_ASKED_FOR = 4_096  # enough to see what is usual

# The inputs and outputs are those of `export.bundle.Tensors`.
RANKING_GRAPH = Template("""
<ir_version: 10, opset_import: ["": $opset, "student": 1]>
ranking (
    int64[batch, length] history, int64[batch, num_excluded] excluded,
    bool[allowed_batch, num_places] allowed, bool mask_seen, int64[1] k,
    float[num_added, $hidden_size] added
) => (
    int64[batch, num_answered] item_indices, float[batch, num_answered] scores,
    float[$num_rows, $hidden_size] table
)
<
    int64 zero = {0}, int64 one = {1}, int64[1] items_axis = {1}, int64[1] batch_axis = {0},
    int64[1] last = {-1}, int64[1] backward = {-1}, int64[1] past_first = {-9223372036854775807},
    int64[1] window_start = {-$max_history_length}, int64[1] past_last = {9223372036854775807},
    int64[4] one_column_after = {0, 0, 0, 1}, float never = {-inf},
    int64[4] one_row_before = {1, 0, 0, 0}, float no_value = {0},
    int64 max_history_length = {$max_history_length}, int64 last_row = {$num_items}
>
{
    # The newest known items of each history, oldest first, no wider than this batch needs, and
    # their vectors. A plain batch, of items of the table and no padding, is quickly read.
    of_table = Clip(history, one, last_row)
    is_of_table = Equal(history, of_table)
    lines_are_plain = ReduceMin(is_of_table, items_axis)
    is_plain = ReduceMin<keepdims = 0>(lines_are_plain)
    window, vectors = If(is_plain) <
        then_branch = plain () => (
            int64[batch, width] plain_window, float[batch, width, $hidden_size] plain_vectors
        ) {
            plain_window = Slice(history, window_start, past_last, items_axis)
            plain_vectors = Gather(table, plain_window)
        },
        else_branch = any () => (
            int64[batch, width] any_window, float[batch, width, $hidden_size] any_vectors
        ) {
            known = Min(history, one)
            lengths = ReduceSum(known, items_axis)
            longest = ReduceMax<keepdims = 0>(lengths, batch_axis)
            width = Clip(longest, one, max_history_length)
            places = CumSum(known, one)
            recency = Mul(places, known)
            newest, newest_first = TopK(recency, width)
            oldest_first = Slice(newest_first, last, past_first, items_axis, backward)
            any_window = GatherElements<axis = 1>(history, oldest_first)

            # Items after the table's last row are rows of `added`; the table is never copied.
            is_added = Greater(any_window, last_row)
            rows_of_table = Where(is_added, zero, any_window)
            from_table = Gather(table, rows_of_table)
            beyond_table = Sub(any_window, last_row)
            rows_of_added = Max(beyond_table, zero)
            padded_added = Pad(added, one_row_before, no_value)
            from_added = Gather(padded_added, rows_of_added)
            any_vectors = Add(from_table, from_added)
        }
    >

    query = student.Encode(window, vectors)
    scores_of_added = Gemm<transB = 1>(query, added)

    # Padding is item 0 of the table, and a place of `excluded` and `history` that names nothing.
    mask_seen_once = Cast<to = 7>(mask_seen)
    seen = Mul(history, mask_seen_once)
    named = Concat<axis = 1>(seen, excluded)
    blocked = Pad(named, one_column_after, zero)
    closed = Less(blocked, zero)
    one_column = Shape(lines_are_plain)
    allowed_by_line = Expand(allowed, one_column)
    open = ScatterElements<axis = 1>(allowed_by_line, blocked, closed)

    $search
}
""")


def export_student(student: Student, path: Path) -> None:
    """Writes the ranking graph of `student` to `path`.

    The item table is folded and stored once: the lookup, the scores and the output `table` read
    the same constant.
    """
    table = student.eval().item_table().detach()
    model = parser.parse_model(
        RANKING_GRAPH.substitute(
            opset=OPSET,
            num_rows=len(table),
            num_items=len(table) - 1,
            hidden_size=table.shape[1],
            max_history_length=student.max_history_length,
            search=search_text(len(table)),
        )
    )
    constants = search_constants(table.numpy(), _usual_query(student, table).numpy())
    for name, constant in {"table": table.numpy(), **constants}.items():
        model.graph.initializer.append(numpy_helper.from_array(constant, name))
    _replace_student_node(model.graph, _encoder_graph(student, table))
    del model.opset_import[1]
    checker.check_model(model, full_check=True)
    onnx.save(model, path)


@torch.no_grad()
def _usual_query(student: Student, table: Tensor) -> Tensor:
    """The mean query `[hidden]` after one item, over items from all of the catalog."""
    step = max(1, len(table) // ITEMS_ASKED_FOR)
    return student.encode_newest(torch.arange(1, len(table), step)[:, None], table).mean(dim=0)


class _Encoder(nn.Module):
    """`Student.encode_newest` as the module that torch's exporter asks for."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, window: Tensor, table: Tensor) -> Tensor:
        """Maps `[batch, width]` and `[items + 1, hidden]` to `[batch, hidden]`."""
        return self.student.encode_newest(window, table)


def _encoder_graph(student: Student, table: Tensor) -> onnx.GraphProto:
    longest = student.max_history_length
    # torch.export takes a size of 1 for a constant, so the example must not have one.
    example = torch.ones(2, min(2, longest), dtype=torch.int64)
    sizes = {0: torch.export.Dim("batch")}
    if longest > 1:
        sizes[1] = torch.export.Dim("width", min=1, max=longest)
    with torch.no_grad(), _without_exporter_chatter():
        program = torch.onnx.export(
            _Encoder(student).eval(),
            (example, table),
            dynamo=True,
            opset_version=OPSET,
            input_names=["window", "table"],
            output_names=["query"],
            dynamic_shapes=(sizes, None),
            verbose=False,
        )
    assert program is not None  # noqa: S101 - the older exporter alone returns None
    graph = compose.add_prefix_graph(
        program.model_proto.graph, "student.", rename_inputs=False, rename_outputs=False
    )
    _read_vectors(graph)
    fuse_attention(graph)
    soften_masks(graph)
    return graph


def _read_vectors(encoder: onnx.GraphProto) -> None:
    """Gives the encoder its items' vectors in place of its own, only lookup in the table."""
    (lookup,) = [node for node in encoder.node if "table" in node.input]
    if lookup.op_type != "Gather" or lookup.input[0] != "table":
        raise ValueError(f"{lookup.op_type} of the item table, where a student looks items up")
    for node in encoder.node:
        node.input[:] = ["vectors" if each == lookup.output[0] else each for each in node.input]
    encoder.node.remove(lookup)


def _replace_student_node(graph: onnx.GraphProto, encoder: onnx.GraphProto) -> None:
    for node in encoder.node:
        # The exporter notes stack traces with paths of this machine.
        del node.metadata_props[:]
        node.doc_string = ""
    nodes = list(graph.node)
    place = next(index for index, node in enumerate(nodes) if node.domain == "student")
    del graph.node[:]
    graph.node.extend([*nodes[:place], *encoder.node, *nodes[place + 1 :]])
    graph.initializer.extend(encoder.initializer)


@contextmanager
def _without_exporter_chatter() -> Iterator[None]:
    """Hides what torch's exporter says of its own inside: deprecated calls, absent torchvision."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg|torch")
            yield
    finally:
        logger.setLevel(level)
