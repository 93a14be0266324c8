"""The search for the best items: exact, but in a large catalog without scoring all of it exactly.

To read 64 numbers for each of 17,000 items takes longer than all else that a student does. So the
table is kept a second time with a byte a number. Those rough scores say which items may be among
the best, and only these are scored with the table itself. What rounding lost bounds the error of a
rough score: where the last item found is better than all that were not chosen can be, the answer
is proven to be that of a search through all items; where it is not, all items are searched.

The codes stand in the order of what most people are recommended: whoever looks for the best then
meets most of them first, and puts fewer aside for better ones.
"""

from collections.abc import Mapping
from string import Template

import numpy as np
from numpy.typing import NDArray

from training.data.catalog import PADDING_INDEX

Constants = Mapping[str, NDArray[np.generic]]

# Catalogs from which a rough score first is faster.
ROUGH_FROM = 8_192
# Items chosen beyond k, at least, and one for so many rows: room for those of the best that may not
# be answered, and for certainty, as scores lie closer together in a larger catalog.
NUM_SPARE, ROWS_OF_A_SPARE = 60, 1_024
# Who asks for more has all items searched: the vectors of the chosen are copied.
MOST_CHOSEN = 4_096
# Half of what a byte holds: processors without VNNI add pairs of products in 16 bits.
LARGEST_CODE = 63

# What rounding to whole steps loses at most, in steps; half, but for float32's own rounding.
LOST = 0.501

# Both read `query`, `scores_of_added`, `open` and `k`, and make scores and item indices. Padding,
# item 0 of the table, may be open: it has no code, and among all items its score is never enough.
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
# Reads `query` and `num_chosen`.
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
# Reads what `ROUGH` has found.
BOUND = """
    # |q t - q' t'| <= |q - q'| |t'| + |q| |t - t'|, where q' and t' are what the codes stand for,
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

# Both read `query`, `open` and `k` of a plain question; a score that proves nothing is -inf.
PLAIN_SEARCH_OF_ALL = """
    scores_of_table = Gemm<transB = 1>(query, table, never_padding)
    open_scores = Where(open, scores_of_table, never)
    scores, item_indices = TopK(open_scores, k)
"""
PLAIN_ROUGH_SEARCH = Template("""
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
    """The search in a table of `num_rows`, in ONNX's text form."""
    if num_rows < ROUGH_FROM:
        return SEARCH_OF_ALL.substitute(scores="scores", item_indices="item_indices")
    of_all = SEARCH_OF_ALL.substitute(scores="scores_in_all", item_indices="items_in_all")
    return ROUGH_SEARCH_FIRST.substitute(rough=ROUGH, bound=BOUND, search_of_all=of_all)


def common_case_search_text(num_rows: int) -> str:
    """The search for a plain question, without the way out where nothing is proven."""
    if num_rows < ROUGH_FROM:
        return PLAIN_SEARCH_OF_ALL
    return PLAIN_ROUGH_SEARCH.substitute(rough=ROUGH, bound=BOUND)


def search_constants(table: NDArray[np.float32], usual_query: NDArray[np.float32]) -> Constants:
    """What the search reads beside the table `[rows, hidden]`, by name.

    Args:
        table: what is searched.
        usual_query: `[hidden]`; how well the others go with it decides no answer, but time.
    """
    num_rows, hidden_size = table.shape
    never_padding = np.zeros(num_rows, dtype=np.float32)
    never_padding[PADDING_INDEX] = -np.inf
    if num_rows < ROUGH_FROM:
        return {"never_padding": never_padding}
    step = np.float32(np.abs(table).max() / LARGEST_CODE)
    codes = np.rint(table / step).astype(np.int8)
    # Both searches add up in float32: how far that may be off, for a query of length 1.
    off = 4 * hidden_size * np.finfo(np.float32).eps * _longest(table)
    lost = table - codes * np.float64(step)
    order = np.argsort(-(table @ usual_query), kind="stable")  # equal items stay in order
    row_of_place = order[order != PADDING_INDEX]
    return {
        "never_padding": never_padding,
        "item_codes": codes[row_of_place].T.copy(),  # [hidden, rows]
        "row_of_place": row_of_place,
        "item_step": np.array(step),
        "steps_lost": np.array(LOST * hidden_size**0.5 * _longest(codes), dtype=np.float32),
        "longest_lost": np.array(_longest(lost) + off, dtype=np.float32),
        "most_chosen": np.array([min(MOST_CHOSEN, num_rows - 1)]),
        "num_spare": np.array([max(NUM_SPARE, num_rows // ROWS_OF_A_SPARE)]),
    }


def _longest(vectors: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(vectors.astype(np.float64), axis=1).max())
