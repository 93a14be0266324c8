"""Defines the part of a graph that finds the best items without scoring all items exactly.

In a catalog of 17,000 items with vectors of 64 numbers, reading all vectors takes longer than the
rest of the student. The item table is therefore stored again, as codes of one byte per number.
Rough scores, computed from the codes, choose candidates. Only candidates are scored exactly.

The rounding of the codes limits the error of a rough score. This gives an upper bound for the exact
score of every item that is not a candidate. If even the last item of the answer scores higher than
this bound, the answer is proven: no other item belongs in it. Otherwise the ranking graph scores
all items exactly, and the common-case graph returns -inf.

The codes are sorted by their items' scores for an average query vector. The top-k search then finds
most of the best rough scores early, and replaces its intermediate results less often.
"""

from collections.abc import Callable, Mapping
from string import Template

import numpy as np
from numpy.typing import NDArray

from export.graphs.codes import Table, codes_of, parts_of, step_of
from export.graphs.pairs import (
    LOST_OF_BONUS,
    PAIR_SUMS,
    ROUGH_WITH_PAIRS,
    PairTable,
    with_bonus,
)
from training.data.catalog import PADDING_INDEX

Constants = Mapping[str, NDArray[np.generic]]

# Number of table rows from which the rough search saves time.
ROUGH_FROM = 8_192
# Number of candidates beyond k: at least NUM_SPARE, and at least one per ROWS_PER_SPARE rows. They
# replace candidates that must not be recommended. They also make the proof likelier: in a larger
# catalog the best scores lie closer together.
NUM_SPARE, ROWS_PER_SPARE = 80, 1_024
# Maximum number of candidates. Their vectors are copied, so a query that needs more is answered
# faster by an exact search of all items.
MAX_CHOSEN = 4_096
# Largest error of rounding to a whole step, in steps: a half, and a margin for float32.
LOST = 0.501

STEP = "step = Mul(code_step, item_step)"
# Computes `open`, whether an item may be recommended, `[batch, items + added + 1]`.
OPEN = """
    closed = Less(named, zero)
    one_column = Shape(lines_are_plain)
    allowed_by_line = Expand(allowed, one_column)
    open = ScatterElements<axis = 1>(allowed_by_line, named, closed)
"""
# Both searches read `query`, `scores_of_added`, `open` and `k`, and compute scores and item
# indices. Padding, row 0 of the table, may be open: it has no code, and `never_padding` excludes it
# from the exact search. The names of inner values are stored in the bundle's file: do not change
# them.
SEARCH_OF_ALL = Template("""
    num_added = Shape<start = 0, end = 1>(added)
    num_items = Add(num_added, last_row)
    num_answered = Min(k, num_items)
    $scores_of_table
    scores_of_all = Concat<axis = 1>(scores_of_table, scores_of_added)
    scores_of_open = Where(open, scores_of_all, never)
    $scores, ranking = TopK(scores_of_open, num_answered)
    is_answer = Greater($scores, never)
    $item_indices = Where(is_answer, ranking, zero)
""")
SCORES_OF_TABLE = "scores_of_table = Gemm<transB = 1>(query, table, never_padding)"
TABLE_WITHOUT_PAIRS = "table_without_pairs = Gemm<transB = 1>(query, table, never_padding)"
SCORES_OF_TABLE_AND_PAIRS = f"""
    {TABLE_WITHOUT_PAIRS}
    {with_bonus("table_without_pairs", "pair_sums", "scores_of_table")}
"""
# The same where sums of pairs are in the order of the codes.
SCORES_OF_TABLE_AND_PLACED_PAIRS = f"""
    {TABLE_WITHOUT_PAIRS}
    sums_of_rows = Gather<axis = 1>(pair_sums, place_of_row)
    {with_bonus("table_without_pairs", "sums_of_rows", "scores_of_table", is_counted=True)}
"""
# The same for a table that processes share: onnxruntime copies the right factor, not the left one.
SCORES_OF_SHARED_TABLE = """
    columns_of_queries = Transpose(query)
    columns_of_scores = MatMul(table, columns_of_queries)
    scores_with_padding = Transpose(columns_of_scores)
    scores_of_table = Add(scores_with_padding, never_padding)
"""
# Reads `query` and `num_chosen`; chooses the candidates and scores them exactly.
ROUGH = Template("""
    code, code_step, code_zero = DynamicQuantizeLinear(query)
    $rough_scores
    rough_of_chosen, places_of_chosen = TopK(rough, num_chosen)
    chosen = Gather(row_of_place, places_of_chosen)

    vectors_of_chosen = Gather(table, chosen)
    query_column = Unsqueeze(query, last)
    column_of_scores = MatMul(vectors_of_chosen, query_column)
    $scores_of_chosen
""")
ROUGH_OF_QUERY = "rough = MatMulInteger(code, item_codes, code_zero)"
ROUGH_OF_QUERY_AND_PAIRS = f"""
    {STEP}
    rough_without_pairs = MatMulInteger(code, item_codes, code_zero)
    {ROUGH_WITH_PAIRS}
"""
SCORES_OF_CHOSEN = "scores_of_chosen = Squeeze(column_of_scores, last)"
SCORES_OF_CHOSEN_WITH_PAIRS = f"""
    chosen_without_pairs = Squeeze(column_of_scores, last)
    sums_of_chosen = GatherElements<axis = 1>(pair_sums, places_of_chosen)
    {with_bonus("chosen_without_pairs", "sums_of_chosen", "scores_of_chosen", is_counted=True)}
"""
# Reads the values of `ROUGH`; computes the highest score that a non-candidate can have.
BOUND = Template("""
    # |q t - q' t'| <= |q - q'| |t'| + |q| |t - t'|, where q' and t' are the values of the codes,
    # and q' differs from q by half a step in each place.
    least_chosen = ReduceMin(rough_of_chosen, last)
    least_steps = Cast<to = 1>(least_chosen)
    most_steps = Add(least_steps, steps_lost)
    $step
    most_of_codes = Mul(most_steps, step)
    length = ReduceL2(query, last)
    most_lost = Mul(length, longest_lost)
    most_elsewhere = Add(most_of_codes, most_lost)
""")
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

# The searches of the common-case graph read `query`, `open` and `k`. A score is -inf where the item
# at its position is not proven to be correct.
COMMON_CASE_SEARCH_OF_ALL = Template("""
    $scores_of_table
    open_scores = Where(open, scores_of_table, never)
    scores, item_indices = TopK(open_scores, k)
""")
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


def search_of_all_text(scores: str, item_indices: str, scores_of_table: str) -> str:
    """Returns the exact search of all items in ONNX's text form.

    Args:
        scores: name to give to the best scores, `[batch, k]`.
        item_indices: name to give to the indices of the best items, `[batch, k]`.
        scores_of_table: text that computes `scores_of_table`, the scores of the item table's rows:
            `SCORES_OF_TABLE` or `SCORES_OF_SHARED_TABLE`.
    """
    return SEARCH_OF_ALL.substitute(
        scores=scores, item_indices=item_indices, scores_of_table=scores_of_table
    )


def search_text(num_rows: int, *, is_shared: bool = False, has_pairs: bool = False) -> str:
    """Returns the ranking graph's search in ONNX's text form, for a table of `num_rows` rows.

    The text computes `scores` and `item_indices` from `query`, `allowed`, `named` and `k`. For
    fewer than `ROUGH_FROM` rows, it scores all items exactly, without codes.

    Args:
        num_rows: number of rows of the item table.
        is_shared: whether the table lies in a file of its own, which is mapped.
        has_pairs: whether the student has a pair bonus; the text then reads `pair_window`, too.
    """
    of_table = SCORES_OF_SHARED_TABLE if is_shared else SCORES_OF_TABLE
    if num_rows < ROUGH_FROM:
        of_table = SCORES_OF_TABLE_AND_PAIRS if has_pairs else of_table
        return _sums(has_pairs) + OPEN + search_of_all_text("scores", "item_indices", of_table)
    of_table = SCORES_OF_TABLE_AND_PLACED_PAIRS if has_pairs else of_table
    of_all = search_of_all_text("scores_in_all", "items_in_all", of_table)
    search = ROUGH_SEARCH_FIRST.substitute(
        rough=_rough(has_pairs), bound=_bound(has_pairs), search_of_all=of_all
    )
    return _sums(has_pairs) + OPEN + search


def common_case_search_text(num_rows: int, *, has_pairs: bool = False) -> str:
    """Returns the common-case graph's search in ONNX's text form, for a table of `num_rows` rows.

    For fewer than `ROUGH_FROM` rows, the search scores all items exactly. For more rows it scores
    candidates only, and returns -inf where it cannot prove the answer.

    `has_pairs`: whether the student has a pair bonus; the text then reads `pair_window`, too.
    """
    if num_rows < ROUGH_FROM:
        of_table = SCORES_OF_TABLE_AND_PAIRS if has_pairs else SCORES_OF_TABLE
        return _sums(has_pairs) + COMMON_CASE_SEARCH_OF_ALL.substitute(scores_of_table=of_table)
    return _sums(has_pairs) + COMMON_CASE_ROUGH_SEARCH.substitute(
        rough=_rough(has_pairs), bound=_bound(has_pairs)
    )


def _sums(has_pairs: bool) -> str:
    return PAIR_SUMS if has_pairs else ""


def _rough(has_pairs: bool) -> str:
    return ROUGH.substitute(
        rough_scores=ROUGH_OF_QUERY_AND_PAIRS if has_pairs else ROUGH_OF_QUERY,
        scores_of_chosen=SCORES_OF_CHOSEN_WITH_PAIRS if has_pairs else SCORES_OF_CHOSEN,
    )


def _bound(has_pairs: bool) -> str:
    """Returns the text of the bound; with pairs, `ROUGH` has computed the step already."""
    return BOUND.substitute(step="" if has_pairs else STEP)


def search_constants(
    table: Table, usual_query: NDArray[np.float32], pairs: PairTable | None = None, longest: int = 1
) -> Constants:
    """Computes the constants that the search reads besides the item table, keyed by name.

    Args:
        table: `[rows, hidden]`, the item vectors; row 0 is padding.
        usual_query: `[hidden]`, an average query vector. The codes are sorted by their items'
            scores for this vector, which affects the speed but not the answers.
        pairs: the student's pair bonus; None if it has none.
        longest: maximum number of items in a window, for `pairs`.
    """
    num_rows, hidden_size = table.shape
    if num_rows < ROUGH_FROM:
        of_pairs = pairs.constants(longest) if pairs else {}
        return {"never_padding": never_padding(num_rows), **of_pairs}
    step = step_of(table)
    # The sort is stable, so items with equal vectors stay in index order.
    # einsum sums each row alike, so equal rows have equal scores and stay in index order; BLAS does
    # not, since it sums rows at the end of a block in another order.
    order = np.argsort(-np.einsum("ij,j->i", table, usual_query), kind="stable")
    row_of_place = order[order != PADDING_INDEX]
    item_codes = np.empty((hidden_size, len(row_of_place)), dtype=np.int8)
    for part in parts_of(len(row_of_place)):
        item_codes[:, part] = codes_of(table[row_of_place[part]], step).T
    longest_code = _longest(table, lambda rows: codes_of(rows, step))
    lost = _longest(table, lambda rows: rows - codes_of(rows, step) * np.float64(step))
    # Largest error of a float32 dot product with a query vector of length 1, in either search.
    off = 4 * hidden_size * np.finfo(np.float32).eps * _longest(table)
    steps_lost = LOST * hidden_size**0.5 * longest_code + (LOST_OF_BONUS if pairs else 0)
    return {
        **(_placed(pairs, row_of_place, longest) if pairs else {}),
        "never_padding": never_padding(num_rows),
        "item_codes": item_codes,
        "row_of_place": row_of_place,
        "item_step": np.array(step),
        "steps_lost": np.array(steps_lost, dtype=np.float32),
        "longest_lost": np.array(lost + off, dtype=np.float32),
        "most_chosen": np.array([min(MAX_CHOSEN, num_rows - 1)]),
        "num_spare": np.array([max(NUM_SPARE, num_rows // ROWS_PER_SPARE)]),
    }


def _placed(pairs: PairTable, row_of_place: NDArray[np.int64], longest: int) -> Constants:
    """Returns the constants of `pairs` in the order of the codes; padding gets the first place."""
    place_of_row = np.zeros(len(row_of_place) + 1, dtype=np.int64)
    place_of_row[row_of_place] = np.arange(len(row_of_place))
    return {"place_of_row": place_of_row, **pairs.constants(longest, place_of_row)}


def never_padding(num_rows: int) -> NDArray[np.float32]:
    """Returns an array to add to the scores of all rows, `[num_rows]`: -inf for padding, else 0."""
    added = np.zeros(num_rows, dtype=np.float32)
    added[PADDING_INDEX] = -np.inf
    return added


def _longest(
    table: Table, made: Callable[[Table], NDArray[np.generic]] = lambda rows: rows
) -> float:
    """Returns the length of the longest vector that `made` makes of the table's rows."""
    parts = (made(table[part]).astype(np.float64) for part in parts_of(len(table)))
    return max(float(np.linalg.norm(each, axis=1).max()) for each in parts)
