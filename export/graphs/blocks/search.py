"""Defines the search of a large catalog by blocks of similar items, in ever finer steps.

1. Every block gets an estimate of its best item's score, from codes of one byte. There are two
   ways. By summaries: the center and the variances of the block's items are read. Blocks that
   follow each other are similar, too, and form a group; the groups' summaries choose the groups
   whose blocks' summaries are read. By heads: the head of every item (`blocks.order`) is read; an
   item's estimate is the product of the item's and the query's head, plus a share of the largest
   product that their tails can have, and a block gets the highest estimate of its items.
2. All items of the best blocks are scored from codes of their whole vectors.
3. The best of these, the candidates, are scored exactly.

The result is approximate: it can lack an item whose estimate was too low. `export.scorer` measures
on the student's own queries how often that happens, and chooses this search only where it is rare.

The list is made of the best candidates only, the trusted ones: worse items may lie in blocks that
were not read. A filter or a large `k` can leave too few of them. Then, if few items may be
recommended, all of these are scored exactly. Else more blocks are read (`blocks.wide`).
"""

from dataclasses import dataclass
from math import ceil
from string import Template

from export.contract.manifest import NUM_TRUSTED
from export.graphs.blocks.candidates import candidates_text, fine_text, use_text
from export.graphs.blocks.wide import wide_search_text
from export.graphs.proven.search import OPEN, SCORES_OF_SHARED_TABLE, search_of_all_text

# One of so many candidates is trusted. Items of lower ranks may lie in blocks that are unread.
TRUSTED_SHARE = 2
NUM_CANDIDATES = TRUSTED_SHARE * NUM_TRUSTED
# Groups whose blocks' summaries are read, for each block whose items are read. With half a group a
# block, 1 or 2 in 1,000 of the best of a million items are lost more.
GROUPS_A_BLOCK = 0.75
# Further blocks and all candidates of the wider search, for each of the usual one.
MORE_BLOCKS, WIDER_CANDIDATES = 1, 5


@dataclass(frozen=True)
class BlockSizes:
    """The amounts of data that a search by blocks reads.

    Attributes:
        num_codes: number of bytes per item that step 1 reads; onnxruntime reads 8 at once. 0: step
            1 reads summaries of groups and of blocks instead.
        num_blocks: number of blocks whose items step 2 reads.
        block_size: number of items in a block.
        group_size: number of blocks in a group, where step 1 reads summaries.
    """

    num_codes: int
    num_blocks: int
    block_size: int = 32
    group_size: int = 16

    def num_all(self, num_items: int) -> int:
        """Number of blocks of a catalog of `num_items` items; summaries are of whole groups."""
        blocks = -(-num_items // self.block_size)
        return blocks if self.num_codes else -(-blocks // self.group_size) * self.group_size

    def num_chosen(self, num_items: int) -> int:
        """Number of blocks whose items are read, of all of a catalog of `num_items` items."""
        return min(self.num_blocks, self.num_all(num_items))

    def num_chosen_groups(self, num_items: int) -> int:
        """Number of groups whose blocks' summaries are read, of a catalog of `num_items` items."""
        wanted = ceil(GROUPS_A_BLOCK * self.num_chosen(num_items))
        return min(wanted, self.num_all(num_items) // self.group_size)

    def num_candidates(self, num_items: int) -> int:
        """Number of items that are scored exactly, in a catalog of `num_items` items."""
        return min(NUM_CANDIDATES, self.num_chosen(num_items) * self.block_size)

    def num_more(self, num_items: int) -> int:
        """Number of further blocks that the wider search reads, of those that have an estimate."""
        groups = 0 if self.num_codes else self.num_chosen_groups(num_items)
        estimated = groups * self.group_size or self.num_all(num_items)
        chosen = self.num_chosen(num_items)
        return min(MORE_BLOCKS * chosen, estimated - chosen)

    def num_wide_candidates(self, num_items: int) -> int:
        """Number of items that the wider search scores exactly."""
        num_blocks = self.num_chosen(num_items) + self.num_more(num_items)
        return min(WIDER_CANDIDATES * NUM_CANDIDATES, num_blocks * self.block_size)

    def num_wide_blocks(self, num_items: int) -> int:
        """Number of blocks, of those that were read, in which the wider search's candidates lie."""
        num_blocks = self.num_chosen(num_items) + self.num_more(num_items)
        return min(self.num_wide_candidates(num_items), num_blocks)


# Step 1 by the items' heads. Both texts compute `estimates` of blocks from `query`.
BY_HEADS = """
    head_of_query = MatMul(query, to_head)
    tail_of_query = MatMul(query, to_tail)
    tail_length = ReduceL2(tail_of_query, last)
    tail_weight = Mul(tail_length, tail_factor)
    short_query = Concat<axis = 1>(head_of_query, tail_weight)
    short_code, short_step, short_zero = DynamicQuantizeLinear(short_query)
    estimates_of_items = MatMulInteger(short_code, short_item_codes, short_zero)
    estimates_by_block = Reshape(estimates_of_items, in_blocks)
    estimates = ReduceMax<keepdims = 0>(estimates_by_block, last)
"""
# Step 1 by summaries of the blocks, which have the first coordinates only: those carry most of a
# score. An item's score is about normally distributed in its block: its mean is the product of
# query and center, its variance the product of the squares of the query's coordinates and the
# block's variances. The square root of the variance is replaced by its tangent at the average
# block's variance, so that one product of codes gives mean and deviation. Groups' variances are
# scaled for the same tangent.
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
    estimates_of_groups = MatMulInteger(short_code, group_codes, short_zero)
    best_groups, chosen_groups = TopK<sorted = 0>(estimates_of_groups, num_chosen_groups)
    codes_of_groups = Gather(summary_codes_by_group, chosen_groups)
    codes_in_groups = Reshape(codes_of_groups, in_summaries)
    short_code_of_each = Unsqueeze(short_code, after_batch)
    estimates_by_group = MatMulInteger(short_code_of_each, codes_in_groups, short_zero)
    estimates = Reshape(estimates_by_group, in_rows)
"""
BLOCK_SEARCH = Template("""
    $step_1

    code, code_step, code_zero = DynamicQuantizeLinear(query)
    code_of_each = Unsqueeze(code, after_batch)
    query_column = Unsqueeze(query, last)
    shape_of_added = Shape(scores_of_added)
    one_each = ConstantOfShape<value = int64[1] {1}>(shape_of_added)
    places_of_added = CumSum(one_each, one)
    added_items = Add(places_of_added, last_row)
    $fine
    $candidates
    # Whether an item may be answered is looked up for these alone: to close the history's items in
    # a copy of `allowed` would take longer than all the rest in a catalog of ten million items.
    lines = Shape<start = 0, end = 1>(query)
    one_of_each = ConstantOfShape<value = int64[1] {1}>(lines)
    lines_from_zero = CumSum<exclusive = 1>(one_of_each, zero)
    lines_of_allowed = Shape<start = 0, end = 1>(allowed)
    last_of_allowed = Sub(lines_of_allowed, first_item)
    allowed_lines = Min(lines_from_zero, last_of_allowed)
    column_of_lines = Unsqueeze(allowed_lines, last)
    shape_of_best = Shape(best_items)
    lines_of_best = Expand(column_of_lines, shape_of_best)
    column_of_lines_of_best = Unsqueeze(lines_of_best, last)
    column_of_best = Unsqueeze(best_items, last)
    pairs_of_best = Concat<axis = -1>(column_of_lines_of_best, column_of_best)
    are_allowed = GatherND(allowed, pairs_of_best)
    row_of_named = Unsqueeze(named, items_axis)
    are_equal = Equal(column_of_best, row_of_named)
    equal_bytes = Cast<to = 2>(are_equal)
    named_bytes = ReduceMax<keepdims = 0>(equal_bytes, last)
    are_named = Cast<to = 9>(named_bytes)
    are_free = Not(are_named)
    # Padding, which fills the last blocks, is not real.
    are_real = Greater(best_items, zero)
    are_real_and_free = And(are_real, are_free)
    best_are_open = And(are_real_and_free, are_allowed)
    $use
    scores, item_indices = If(are_used) <
        then_branch = found () => (
            float[batch, num_answered] scores_found, int64[batch, num_answered] items_found
        ) {
            open_scores = Where(best_are_open, best_scores, never)
            scores_found, found_places = TopK(open_scores, k)
            items_found = GatherElements<axis = 1>(best_items, found_places)
        },
        else_branch = not_found () => (
            float[batch, num_answered] scores_of_rest, int64[batch, num_answered] items_of_rest
        ) {
            $open
            # The items that a line of the batch may answer, without padding and added items.
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
            # Counted in a sample before they are listed: a list of nearly all items takes long to
            # make, and a sum over all of them takes as long as a list.
            sample_of_open = Slice(are_open_items, sample_start, past_last, batch_axis, sample_step)
            ones_of_open = Cast<to = 6>(sample_of_open)
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
                    $wide_search
                }
            >
        }
    >
""")


def block_search_text(sizes: BlockSizes) -> str:
    """Returns the ranking graph's search by blocks in ONNX's text form.

    The text computes `scores` and `item_indices` from `query`, as `search.search_text` does.
    """
    of_every = search_of_all_text("scores_of_every", "items_of_every", SCORES_OF_SHARED_TABLE)
    by_heads = bool(sizes.num_codes)
    return BLOCK_SEARCH.substitute(
        step_1=BY_HEADS if by_heads else BY_SUMMARIES,
        fine=fine_text("estimates", by_heads=by_heads),
        candidates=candidates_text(),
        use=use_text(),
        open=OPEN,
        wide_search=wide_search_text(of_every, by_heads=by_heads),
    )
