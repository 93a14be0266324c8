"""Exports a student as the ranking graph: one ONNX file that answers every query.

The text below, in ONNX's text form, has the window, the masks and top-k. Two placeholder nodes in
it stand for the student: one for histories without padding, one for all others. `inline` replaces
both with graphs that torch exports. So the student is defined only in torch, and everything else
only here.

The text is written by hand and not traced from torch code, because sizes depend on data: on the
longest history of a batch and on `k`. Such sizes are simple in ONNX but hard in `torch.export`, and
torch's older tracing exporter is deprecated.
"""

from collections.abc import Mapping
from pathlib import Path
from string import Template

import onnx
from onnx import numpy_helper, parser

from export.contract.tensors import SHARED_TABLES
from export.graphs.blocks.constants import block_constants, sizes_constants
from export.graphs.blocks.search import BlockSizes, block_search_text
from export.graphs.encoder import OPSET, inline
from export.graphs.item_lookup import insert_lookups
from export.graphs.proven.search import search_text
from export.graphs.query_encoder import QueryEncoder, encoder_of
from export.graphs.saving import add_constants, save_graph
from training.students.student import Student

# A graph must stay under the two gigabytes of a message of Protocol Buffers, with the codes of the
# table, which take a quarter of its size.
MAX_INSIDE = 2**30

# The inputs and outputs are those of `export.contract.tensors.Tensors`. The names of inner values
# are stored in the bundle's file: do not change them.
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
    int64[4] one_row_before = {1, 0, 0, 0}, float no_value = {0}, float never = {-inf},
    int64 max_history_length = {$max_history_length}, int64 last_row = {$num_items}
>
{
    # The student reads the newest known items of each history, oldest first. The window is as wide
    # as the longest history of the batch needs. A batch that has only items of the table and no
    # padding, the common case, takes a faster branch.
    of_table = Clip(history, one, last_row)
    is_of_table = Equal(history, of_table)
    lines_are_plain = ReduceMin(is_of_table, items_axis)
    is_plain = ReduceMin<keepdims = 0>(lines_are_plain)
    query$pair_window = If(is_plain) <
        then_branch = plain () => (float[batch, $hidden_size] plain_query$plain_pairs) {
            plain_window = Slice(history, window_start, past_last, items_axis)
            plain_query = student.EncodePlain(plain_window)
            $plain_rows
        },
        else_branch = any () => (float[batch, $hidden_size] any_query$any_pairs) {
            known = Min(history, one)
            lengths = ReduceSum(known, items_axis)
            longest = ReduceMax<keepdims = 0>(lengths, batch_axis)
            width = Clip(longest, one, max_history_length)
            places = CumSum(known, one)
            recency = Mul(places, known)
            newest, newest_first = TopK(recency, width)
            oldest_first = Slice(newest_first, last, past_first, items_axis, backward)
            any_window = GatherElements<axis = 1>(history, oldest_first)

            # Indices after the table's last row refer to rows of `added`. Both are read
            # separately, so that the table need not be copied to append to it.
            is_added = Greater(any_window, last_row)
            rows_of_table = Where(is_added, zero, any_window)
            from_table = Gather(table, rows_of_table)
            beyond_table = Sub(any_window, last_row)
            rows_of_added = Max(beyond_table, zero)
            padded_added = Pad(added, one_row_before, no_value)
            from_added = Gather(padded_added, rows_of_added)
            any_vectors = Add(from_table, from_added)
            any_query = student.EncodeAny(any_window, any_vectors)
            $any_rows
        }
    >
    scores_of_added = Gemm<transB = 1>(query, added)

    seen = Where(mask_seen, history, zero)
    named = Concat<axis = 1>(seen, excluded)

    $search
}
""")
# What is added to the graph of a student with a pair bonus: the rows of the window's items.
PAIR_TEXTS: Mapping[str, str] = {
    "pair_window": ", pair_window",
    "plain_pairs": ", int64[batch, plain_width] plain_pairs",
    "any_pairs": ", int64[batch, any_width] any_pairs",
}
NO_PAIR_TEXTS: Mapping[str, str] = dict.fromkeys([*PAIR_TEXTS, "plain_rows", "any_rows"], "")


def export_student(student: Student, path: Path) -> None:
    """Writes the ranking graph of `student`, with an exact search, to the file `path`."""
    export_ranking_graph(encoder_of(student), path)


def export_ranking_graph(
    encoder: QueryEncoder, path: Path, blocks: BlockSizes | None = None
) -> None:
    """Writes the ranking graph of a sequential model to the file `path`.

    If `blocks` is given, the graph searches by blocks, and the constants `SHARED_TABLES` are
    written to files beside `path`. Otherwise the graph's answer is exact; a table of more than
    `MAX_INSIDE` bytes is written to a file, too.

    The item table is stored only once: the lookup of item vectors, the scores and the output
    `table` share one constant.

    Raises:
        ValueError: the model has a pair bonus, which a search by blocks would leave out.
    """
    if blocks and encoder.pairs:
        raise ValueError("a search by blocks finds no items by a pair bonus: blocks must be None")
    table = encoder.table
    is_apart = blocks is not None or table.nbytes > MAX_INSIDE
    model = parser.parse_model(
        RANKING_GRAPH.substitute(
            opset=OPSET,
            num_rows=len(table),
            num_items=encoder.num_items,
            hidden_size=table.shape[1],
            max_history_length=encoder.max_history_length,
            search=(
                block_search_text(blocks)
                if blocks
                else search_text(
                    len(table), is_shared=is_apart, has_pairs=encoder.pairs is not None
                )
            ),
            **_pair_texts(encoder),
        )
    )
    if blocks is None:
        constants = encoder.search_constants
    else:
        constants = block_constants(encoder.blocks(blocks.block_size), blocks)
    apart = SHARED_TABLES if is_apart else ()
    add_constants(model.graph, {"table": table, **constants}, path, apart)
    unpadded = encoder.unpadded()
    insert_lookups(unpadded)
    inline(unpadded, _branch(model.graph, "then_branch"))
    inline(encoder.padded(), _branch(model.graph, "else_branch"))
    save_graph(model, path)


def set_num_blocks(path: Path, blocks: BlockSizes, num_items: int) -> None:
    """Changes the graph in the file `path`, which searches by blocks, to read another number.

    Args:
        path: the file.
        blocks: the sizes, which differ from the graph's only in `num_blocks`.
        num_items: number of items in the table.
    """
    model = onnx.load(path, load_external_data=False)
    changed = sizes_constants(blocks, num_items)
    for constant in model.graph.initializer:
        if constant.name in changed:
            constant.CopyFrom(numpy_helper.from_array(changed[constant.name], constant.name))
    onnx.save(model, path)


def _pair_texts(encoder: QueryEncoder) -> Mapping[str, str]:
    """Returns what a student's pair bonus adds to `RANKING_GRAPH`, by the names there."""
    if encoder.pairs is None:
        return NO_PAIR_TEXTS
    longest = encoder.max_history_length
    return {
        **PAIR_TEXTS,
        "plain_rows": encoder.pairs.rows_text("plain_window", "plain_pairs", longest),
        "any_rows": encoder.pairs.rows_text("rows_of_table", "any_pairs", longest),
    }


def _branch(graph: onnx.GraphProto, which: str) -> onnx.GraphProto:
    """Returns a branch of the first `If` node in `graph`, which chooses how a history is encoded.

    `which` names the branch: "then_branch" or "else_branch".
    """
    choice = next(node for node in graph.node if node.op_type == "If")
    return next(each.g for each in choice.attribute if each.name == which)
