"""Exports a student as the common-case graph, whose queries `export.contract.tensors` defines.

Most requests use no filters, exclusions or added items, but a graph that handles these spends time
on them in every run. This graph handles neither these nor padding, so it is faster. Values that the
encoder computes from a single item are computed once per item and then looked up. If the graph
cannot prove its answer, it returns -inf as a score, and the ranking graph must answer the query.
"""

from pathlib import Path
from string import Template

import numpy as np
from onnx import parser

from export.graphs.encoder import OPSET, inline
from export.graphs.item_lookup import precompute_per_item
from export.graphs.optimising import drop_unread
from export.graphs.proven.search import common_case_search_text
from export.graphs.query_encoder import QueryEncoder, encoder_of
from export.graphs.saving import add_constants, save_graph
from training.students.student import Student

# A catalog with more rows gets no common-case graph. The graph holds a second copy of the item
# table and three tables made from it (70 MiB at hidden size 64), and saves only microseconds.
MAX_ROWS = 65_536

# The names of the graph and its values are stored in the bundle's file: do not change them.
COMMON_CASE_GRAPH = Template("""
<ir_version: 10, opset_import: ["": $opset, "student": 1]>
plain (int64[batch, length] history, int64[1] k) => (
    int64[batch, num_answered] item_indices, float[batch, num_answered] scores
)
<
    int64 zero = {0}, float never = {-inf}, int64[1] num_rows = {$num_rows},
    int64[1] items_axis = {1}, int64[1] last = {-1},
    int64[1] window_start = {-$max_history_length}, int64[1] past_last = {9223372036854775807}
>
{
    window = Slice(history, window_start, past_last, items_axis)
    query = student.Encode(window)
    is_closed = Less(history, zero)
    num_questions = Shape<start = 0, end = 1>(history)
    shape_of_open = Concat<axis = 0>(num_questions, num_rows)
    open_before = Expand(all_open, shape_of_open)
    open = ScatterElements<axis = 1>(open_before, history, is_closed)

    $pair_window
    $search
}
""")


def export_common_case(student: Student, path: Path) -> bool:
    """Writes the common-case graph of `student` to `path`; returns whether it was written.

    It is not written if the item table has more than `MAX_ROWS` rows.
    """
    return export_common_case_graph(encoder_of(student), path)


def export_common_case_graph(encoder: QueryEncoder, path: Path) -> bool:
    """Writes the common-case graph of a sequential model to the file `path`.

    Returns:
        True if the graph was written; False if the item table has more than `MAX_ROWS` rows.
    """
    table = encoder.table
    if len(table) > MAX_ROWS:
        return False
    longest, pairs = encoder.max_history_length, encoder.pairs
    model = parser.parse_model(
        COMMON_CASE_GRAPH.substitute(
            opset=OPSET,
            num_rows=len(table),
            max_history_length=longest,
            pair_window=pairs.rows_text("window", "pair_window", longest) if pairs else "",
            search=common_case_search_text(len(table), has_pairs=pairs is not None),
        )
    )
    unpadded = encoder.unpadded()
    precompute_per_item(unpadded)
    inline(unpadded, model.graph)
    constants = {
        "table": table,
        "all_open": np.ones((1, len(table)), dtype=np.bool_),
        **encoder.search_constants,
    }
    add_constants(model.graph, constants, path)
    drop_unread(model.graph)
    save_graph(model, path)
    return True
