"""Defines the search of a large catalog by blocks of similar items, in three ever finer steps.

1. Every block gets an estimate of its best item's score, from codes of one byte. There are two
   ways. By summaries: the center and the variances of the block's items are read. By heads: the
   head of every item (`blocks.order`) is read; an item's estimate is the product of the item's and
   the query's head, plus a share of the largest product that their tails can have, and a block gets
   the highest estimate of its items. Summaries are a fraction of the heads' size.
2. All items of the best blocks are scored from codes of their whole vectors.
3. The best of these, the candidates, are scored exactly.

The result is approximate: it can lack an item whose estimate was too low. `export.scorer` measures
on the student's own queries how often that happens, and chooses this search only where it is rare.

The list is made of the best candidates only, the trusted ones: worse items may lie in blocks that
were not read. A filter or a large `k` can leave too few of them. Then all items that may be
recommended are scored exactly.
"""

from dataclasses import dataclass
from string import Template

from export.contract.manifest import NUM_TRUSTED
from export.graphs.search import SCORES_OF_SHARED_TABLE, search_of_all_text

# Share of the candidates that are trusted. Items of lower ranks may lie in blocks that are unread.
TRUSTED_SHARE = 4
NUM_CANDIDATES = TRUSTED_SHARE * NUM_TRUSTED


@dataclass(frozen=True)
class BlockSizes:
    """The amounts of data that a search by blocks reads.

    Attributes:
        num_codes: number of bytes per item that step 1 reads; onnxruntime reads 8 at once. 0: step
            1 reads a summary of each block instead.
        num_blocks: number of blocks whose items step 2 reads.
        block_size: number of items in a block.
    """

    num_codes: int
    num_blocks: int
    block_size: int = 32

    def num_chosen(self, num_items: int) -> int:
        """Number of blocks whose items are read, of all of a catalog of `num_items` items."""
        return min(self.num_blocks, -(-num_items // self.block_size))

    def num_candidates(self, num_items: int) -> int:
        """Number of items that are scored exactly, in a catalog of `num_items` items."""
        return min(NUM_CANDIDATES, self.num_chosen(num_items) * self.block_size)


# Step 1 by the items' heads. Both texts compute `best_of_blocks`, `[batch, blocks]`, from `query`.
BY_HEADS = """
    head_of_query = MatMul(query, to_head)
    tail_of_query = MatMul(query, to_tail)
    tail_length = ReduceL2(tail_of_query, last)
    tail_weight = Mul(tail_length, tail_factor)
    short_query = Concat<axis = 1>(head_of_query, tail_weight)
    short_code, short_step, short_zero = DynamicQuantizeLinear(short_query)
    estimates = MatMulInteger(short_code, short_item_codes, short_zero)
    estimates_by_block = Reshape(estimates, in_blocks)
    best_of_blocks = ReduceMax<keepdims = 0>(estimates_by_block, last)
"""
# Step 1 by summaries of the blocks, which have the first coordinates only: those carry most of a
# score. An item's score is about normally distributed in its block: its mean is the product of
# query and center, its variance the product of the squares of the query's coordinates and the
# block's variances. The square root of the variance is replaced by its tangent at the average
# block's variance, so that one product of codes gives mean and deviation.
BY_SUMMARIES = """
    coordinates = MatMul(query, to_coordinates)
    first_coordinates = MatMul(query, to_first_coordinates)
    squares = Mul(first_coordinates, first_coordinates)
    usual_variance = MatMul(squares, usual_variances)
    usual_deviation = Sqrt(usual_variance)
    deviation = Max(usual_deviation, smallest)
    spread_of_squares = Mul(squares, spread_factor)
    slope = Div(spread_of_squares, deviation)
    short_query = Concat<axis = 1>(coordinates, slope)
    short_code, short_step, short_zero = DynamicQuantizeLinear(short_query)
    best_of_blocks = MatMulInteger(short_code, summary_codes, short_zero)
"""
BLOCK_SEARCH = Template("""
    $step_1
    best_estimates, chosen_blocks = TopK<sorted = 0>(best_of_blocks, num_chosen_blocks)

    # A block's codes lie coordinate by coordinate, and the query is the left factor: onnxruntime
    # takes twice as long for a matrix times a column.
    codes_of_blocks = Gather(item_codes_by_block, chosen_blocks)
    codes_of_chosen = Reshape(codes_of_blocks, in_coordinates)
    code, code_step, code_zero = DynamicQuantizeLinear(query)
    code_of_each = Unsqueeze(code, after_batch)
    fine_by_block = MatMulInteger(code_of_each, codes_of_chosen, code_zero)
    fine = Reshape(fine_by_block, in_rows)
    best_fine, places_of_fine = TopK<sorted = 0>(fine, num_candidates)
    items_by_block = Gather(items_of_blocks, chosen_blocks)
    items_in_chosen = Reshape(items_by_block, in_rows)
    unordered = GatherElements<axis = 1>(items_in_chosen, places_of_fine)
    # Items of equal scores are answered in the order of their indices.
    chosen, chosen_before = TopK<largest = 0>(unordered, num_candidates)

    vectors_of_chosen = Gather(table, chosen)
    query_column = Unsqueeze(query, last)
    column_of_scores = MatMul(vectors_of_chosen, query_column)
    scores_of_chosen = Squeeze(column_of_scores, last)

    shape_of_added = Shape(scores_of_added)
    one_each = ConstantOfShape<value = int64[1] {1}>(shape_of_added)
    places_of_added = CumSum(one_each, one)
    added_items = Add(places_of_added, last_row)
    candidates = Concat<axis = 1>(chosen, added_items)
    candidate_scores = Concat<axis = 1>(scores_of_chosen, scores_of_added)
    # Padding, which fills the last block, is not real.
    may_be_open = GatherElements<axis = 1>(open, candidates)
    is_real = Greater(candidates, zero)
    is_open = And(may_be_open, is_real)
    best_scores, best_places = TopK(candidate_scores, num_trusted)
    best_are_open = GatherElements<axis = 1>(is_open, best_places)
    counted = Cast<to = 7>(best_are_open)
    num_open_by_line = ReduceSum(counted, items_axis)
    num_open = ReduceMin<keepdims = 0>(num_open_by_line)
    are_used = GreaterOrEqual(num_open, k)
    scores, item_indices = If(are_used) <
        then_branch = found () => (
            float[batch, num_answered] scores_found, int64[batch, num_answered] items_found
        ) {
            open_scores = Where(best_are_open, best_scores, never)
            scores_found, found_places = TopK(open_scores, k)
            places_found = GatherElements<axis = 1>(best_places, found_places)
            items_found = GatherElements<axis = 1>(candidates, places_found)
        },
        else_branch = not_found () => (
            float[batch, num_answered] scores_of_rest, int64[batch, num_answered] items_of_rest
        ) {
            # The items that a line of the batch may answer, without padding and added items.
            lines = Shape<start = 0, end = 1>(query)
            is_one_line = Equal(lines, first_item)
            # A maximum over one line would take longer than all the rest.
            open_in_any = If(is_one_line) <
                then_branch = one_line () => (bool[num_places] open_in_line) {
                    open_in_line = Squeeze(open, batch_axis)
                },
                else_branch = lines () => (bool[num_places] open_in_lines) {
                    open_as_bytes = Cast<to = 2>(open)
                    most_open = ReduceMax<keepdims = 0>(open_as_bytes, batch_axis)
                    open_in_lines = Cast<to = 9>(most_open)
                }
            >
            are_open_items = Slice(open_in_any, first_item, past_last_row)
            # Counted before they are listed, since a list of nearly all items takes long to make.
            ones_of_open = Cast<to = 6>(are_open_items)
            sum_of_open = ReduceSum(ones_of_open)
            num_open_items = Cast<to = 7>(sum_of_open)
            are_few = LessOrEqual(num_open_items, num_few)
            scores_of_rest, items_of_rest = If(are_few) <
                then_branch = few () => (
                    float[batch, num_answered] scores_in_few,
                    int64[batch, num_answered] items_in_few
                ) {
                    open_places = NonZero(are_open_items)
                    open_before = Squeeze(open_places, batch_axis)
                    open_items = Add(open_before, one)
                    vectors_of_few = Gather(table, open_items)
                    scores_of_few = Gemm<transB = 1>(query, vectors_of_few)
                    open_few = Gather<axis = 1>(open, open_items)
                    open_scores_of_few = Where(open_few, scores_of_few, never)
                    first_added = Add(last_row_as_list, first_item)
                    open_added = Slice(open, first_added, past_last, items_axis)
                    open_scores_of_added = Where(open_added, scores_of_added, never)
                    num_added_here = Shape<start = 0, end = 1>(added)
                    num_all_items = Add(num_added_here, last_row)
                    num_answered_here = Min(k, num_all_items)
                    # As many places that are not answered as a list has, so that it is full.
                    shape_of_blanks = Concat<axis = 0>(lines, num_answered_here)
                    blank_scores = Expand(never, shape_of_blanks)
                    scores_to_sort = Concat<axis = 1>(
                        open_scores_of_few, open_scores_of_added, blank_scores
                    )
                    scores_in_few, few_places = TopK(scores_to_sort, num_answered_here)
                    added_before = Shape<start = 0, end = 1>(added)
                    ones_of_added = ConstantOfShape<value = int64[1] {1}>(added_before)
                    added_from_one = CumSum(ones_of_added, zero)
                    added_list = Add(added_from_one, last_row)
                    blank_items = ConstantOfShape<value = int64[1] {0}>(num_answered_here)
                    items_to_sort = Concat<axis = 0>(open_items, added_list, blank_items)
                    items_sorted = Gather(items_to_sort, few_places)
                    is_few_answer = Greater(scores_in_few, never)
                    items_in_few = Where(is_few_answer, items_sorted, zero)
                },
                else_branch = all () => (
                    float[batch, num_answered] scores_in_all,
                    int64[batch, num_answered] items_in_all
                ) {
                    $search_of_all
                }
            >
        }
    >
""")


def block_search_text(sizes: BlockSizes) -> str:
    """Returns the ranking graph's search by blocks in ONNX's text form.

    The text computes `scores` and `item_indices` from `query`, as `search.search_text` does.
    """
    of_all = search_of_all_text("scores_in_all", "items_in_all", SCORES_OF_SHARED_TABLE)
    step_1 = BY_HEADS if sizes.num_codes else BY_SUMMARIES
    return BLOCK_SEARCH.substitute(step_1=step_1, search_of_all=of_all)
