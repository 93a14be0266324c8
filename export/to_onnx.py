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

from training.students.student import Student

OPSET = 18

# The inputs and outputs are those of `export.bundle.Tensors`.
RANKING_GRAPH = Template("""
<ir_version: 10, opset_import: ["": $opset, "student": 1]>
ranking (
    int64[batch, length] history, int64[batch, num_excluded] excluded,
    bool[allowed_batch, $num_rows] allowed, bool mask_seen, int64[1] k
) => (int64[batch, num_answered] item_indices, float[batch, num_answered] scores)
<
    int64 zero = {0}, int64 one = {1}, int64[1] items_axis = {1},
    int64[1] last = {-1}, int64[1] backward = {-1}, int64[1] past_first = {-9223372036854775807},
    int64[4] one_column_after = {0, 0, 0, 1}, float never = {-inf},
    int64 max_history_length = {$max_history_length}, int64[1] num_items = {$num_items}
>
{
    # The newest known items of each history, oldest first, no wider than this batch needs.
    is_known = Cast<to = 9>(history)
    known = Cast<to = 7>(is_known)
    lengths = ReduceSum<keepdims = 0>(known, items_axis)
    longest = ReduceMax<keepdims = 1>(lengths)
    width = Clip(longest, one, max_history_length)
    places = CumSum(known, one)
    recency = Mul(places, known)
    newest, newest_first = TopK(recency, width)
    oldest_first = Slice(newest_first, last, past_first, items_axis, backward)
    window = GatherElements<axis = 1>(history, oldest_first)

    query = student.Encode(window, table)
    all_scores = Gemm<transB = 1>(query, table)

    # Padding is item 0 of the table, and a place of `excluded` and `history` that names nothing.
    mask_seen_once = Cast<to = 7>(mask_seen)
    seen = Mul(history, mask_seen_once)
    named = Concat<axis = 1>(seen, excluded)
    blocked = Pad(named, one_column_after, zero)
    blocked_shape = Shape(blocked)
    blocked_scores = Expand(never, blocked_shape)
    open_scores = ScatterElements<axis = 1>(all_scores, blocked, blocked_scores)
    allowed_scores = Where(allowed, open_scores, never)

    num_answered = Min(k, num_items)
    scores, ranking = TopK(allowed_scores, num_answered)
    is_answer = Greater(scores, never)
    item_indices = Where(is_answer, ranking, zero)
}
""")


def export_student(student: Student, path: Path) -> None:
    """Writes the ranking graph of `student` to `path`.

    The item table is folded and stored once: the lookup and the scores read the same constant.
    """
    table = student.item_table().detach()
    model = parser.parse_model(
        RANKING_GRAPH.substitute(
            opset=OPSET,
            num_rows=len(table),
            num_items=len(table) - 1,
            max_history_length=student.max_history_length,
        )
    )
    model.graph.initializer.append(numpy_helper.from_array(table.numpy(), "table"))
    _replace_student_node(model.graph, _encoder_graph(student, table))
    del model.opset_import[1]
    checker.check_model(model, full_check=True)
    onnx.save(model, path)


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
    graph = program.model_proto.graph
    return compose.add_prefix_graph(graph, "student.", rename_inputs=False, rename_outputs=False)


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
