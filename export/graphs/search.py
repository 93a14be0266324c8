"""The search for the best items: exact, without exact scores of all items of a large catalog.

Reading 64 numbers for each of 17,000 items takes longer than the rest of a student. So the item
table is stored a second time as codes, one byte per number. Rough scores of the codes choose
candidates, and only these are scored with the table itself. The rounding of the codes bounds the
error of a rough score. Where the last item found scores higher than any item that was not chosen
can, the answer is proven to be that of a search through all items. Where not, all are searched.

The codes are ordered by their scores for a usual query. A top-k search then meets most of the best
items first and replaces fewer of its candidates.
"""

from collections.abc import Mapping
from string import Template

import numpy as np
from numpy.typing import NDArray

from training.data.catalog import PADDING_INDEX

Constants = Mapping[str, NDArray[np.generic]]

# The number of rows from which a rough search first is faster.
ROUGH_FROM = 8_192
# Candidates beyond k: at least NUM_SPARE, and one for each ROWS_PER_SPARE rows. They make up for
# candidates that may not be answered, and help the proof: in a larger catalog scores lie closer.
NUM_SPARE, ROWS_PER_SPARE = 60, 1_024
# A query that would need more candidates has all items searched: candidates' vectors are copied.
MAX_CHOSEN = 4_096
# Half of a signed byte's range: processors without VNNI add pairs of products in 16 bits.
LARGEST_CODE = 63

# The most that rounding to whole steps loses, in steps: half, and some for float32's own rounding.
LOST = 0.501

# Both searches read `query`, `scores_of_added`, `open` (whether an item may be answered) and `k`.
# They compute scores and item indices. Padding, row 0 of the table, may be open: it has no code,
# and `never_padding` keeps it out of a search of all items. Inner values keep their names: they
# are stored in the bundle's file.
SEARCH_OF_ALL = Template("""
    num_added = Shape<start = 0, end = 1>(added)
    num_items = Add(num_added, last_row)
    num_answered = Min(k, num_items)
    scores_of_table = Gemm<transB = 1>(query, table, never_padding)
    scores_of_all = Concat<axis = 1>(scores_of_table, scores_of_added)
    scores_of_open = Where(open, scores_of_all, never)
    $scores, ranking = TopK(scores_of_open, num_answered)
    is_answer = Greater($scores, never)
    $item_indices = Where(is_answer, ranking, zero)
""")
# Reads `query` and `num_chosen`; scores the candidates.
ROUGH = """
    code, code_step, code_zero = DynamicQuantizeLinear(query)
    rough = MatMulInteger(code, item_codes, code_zero)
    rough_of_chosen, places_of_chosen = TopK(rough, num_chosen)
    chosen = Gather(row_of_place, places_of_chosen)

    vectors_of_chosen = Gather(table, chosen)
    query_column = Unsqueeze(query, last)
    column_of_scores = MatMul(vectors_of_chosen, query_column)
    scores_of_chosen = Squeeze(column_of_scores, last)
"""
# Reads the values of `ROUGH`; bounds the score of any item that is no candidate.
BOUND = """
    # |q t - q' t'| <= |q - q'| |t'| + |q| |t - t'|, where q' and t' are the values of the codes,
    # and q' differs from q by half a step in each place.
    least_chosen = ReduceMin(rough_of_chosen, last)
    least_steps = Cast<to = 1>(least_chosen)
    most_steps = Add(least_steps, steps_lost)
    step = Mul(code_step, item_step)
    most_of_codes = Mul(most_steps, step)
    length = ReduceL2(query, last)
    most_lost = Mul(length, longest_lost)
    most_elsewhere = Add(most_of_codes, most_lost)
"""
ROUGH_SEARCH_FIRST = Template("""
    num_wanted = Add(k, num_spare)
    num_chosen = Min(num_wanted, most_chosen)
    $rough
    shape_of_added = Shape(scores_of_added)
    one_each = ConstantOfShape<value = int64[1] {1}>(shape_of_added)
    places_of_added = CumSum(one_each, one)
    added_items = Add(places_of_added, last_row)
    candidate_scores = Concat<axis = 1>(scores_of_chosen, scores_of_added)
    candidates = Concat<axis = 1>(chosen, added_items)
    is_open = GatherElements<axis = 1>(open, candidates)
    open_scores = Where(is_open, candidate_scores, never)
    num_found = Min(k, num_chosen)
    found_scores, found_places = TopK(open_scores, num_found)
    $bound
    is_ahead = Greater(found_scores, most_elsewhere)
    are_ahead = ReduceMin<keepdims = 0>(is_ahead)
    is_enough = LessOrEqual(k, num_chosen)
    is_proven = And(are_ahead, is_enough)
    scores, item_indices = If(is_proven) <
        then_branch = found () => (
            float[batch, num_answered] scores_found, int64[batch, num_answered] items_found
        ) {
            scores_found = Identity(found_scores)
            items_found = GatherElements<axis = 1>(candidates, found_places)
        },
        else_branch = all () => (
            float[batch, num_answered] scores_in_all, int64[batch, num_answered] items_in_all
        ) {
            $search_of_all
        }
    >
""")

# The searches of the common-case graph read `query`, `open` and `k`. A place for which nothing is
# proven has the score -inf.
COMMON_CASE_SEARCH_OF_ALL = """
    scores_of_table = Gemm<transB = 1>(query, table, never_padding)
    open_scores = Where(open, scores_of_table, never)
    scores, item_indices = TopK(open_scores, k)
"""
COMMON_CASE_ROUGH_SEARCH = Template("""
    num_chosen = Add(k, num_spare)
    $rough
    is_open = GatherElements<axis = 1>(open, chosen)
    open_scores = Where(is_open, scores_of_chosen, never)
    found_scores, found_places = TopK(open_scores, k)
    $bound
    is_ahead = Greater(found_scores, most_elsewhere)
    scores = Where(is_ahead, found_scores, never)
    item_indices = GatherElements<axis = 1>(chosen, found_places)
""")


def search_text(num_rows: int) -> str:
    """The ranking graph's search in a table of `num_rows`, in ONNX's text form."""
    if num_rows < ROUGH_FROM:
        return SEARCH_OF_ALL.substitute(scores="scores", item_indices="item_indices")
    of_all = SEARCH_OF_ALL.substitute(scores="scores_in_all", item_indices="items_in_all")
    return ROUGH_SEARCH_FIRST.substitute(rough=ROUGH, bound=BOUND, search_of_all=of_all)


def common_case_search_text(num_rows: int) -> str:
    """The common-case graph's search, in ONNX's text form: never of all items of a large table."""
    if num_rows < ROUGH_FROM:
        return COMMON_CASE_SEARCH_OF_ALL
    return COMMON_CASE_ROUGH_SEARCH.substitute(rough=ROUGH, bound=BOUND)


def search_constants(table: NDArray[np.float32], usual_query: NDArray[np.float32]) -> Constants:
    """The constants that the search reads beside the item table, by name.

    Args:
        table: `[rows, hidden]`, the item vectors.
        usual_query: `[hidden]`; queries like it are searched faster. It changes no answer.
    """
    num_rows, hidden_size = table.shape
    never_padding = np.zeros(num_rows, dtype=np.float32)
    never_padding[PADDING_INDEX] = -np.inf
    if num_rows < ROUGH_FROM:
        return {"never_padding": never_padding}
    step = np.float32(np.abs(table).max() / LARGEST_CODE)
    codes = np.rint(table / step).astype(np.int8)
    # Both searches add up in float32, which is off by this much at most for a query of length 1.
    off = 4 * hidden_size * np.finfo(np.float32).eps * _longest(table)
    lost = table - codes * np.float64(step)
    # A stable sort: items with equal vectors stay in index order.
    order = np.argsort(-(table @ usual_query), kind="stable")
    row_of_place = order[order != PADDING_INDEX]
    return {
        "never_padding": never_padding,
        "item_codes": codes[row_of_place].T.copy(),  # [hidden, rows]
        "row_of_place": row_of_place,
        "item_step": np.array(step),
        "steps_lost": np.array(LOST * hidden_size**0.5 * _longest(codes), dtype=np.float32),
        "longest_lost": np.array(_longest(lost) + off, dtype=np.float32),
        "most_chosen": np.array([min(MAX_CHOSEN, num_rows - 1)]),
        "num_spare": np.array([max(NUM_SPARE, num_rows // ROWS_PER_SPARE)]),
    }


def _longest(vectors: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(vectors.astype(np.float64), axis=1).max())
