"""Defines the wider search by blocks, for queries whose best items may not be recommended.

A user may have seen the best items, or a request may exclude them, so that fewer than `k` of the
trusted ones are open. Then more blocks are read, by the same estimates, and more candidates are
scored exactly and trusted. Only if these are too few as well, all items are scored, which takes 35
times as long as the usual search in a million.
"""

from string import Template

_BY_HEADS = "best_of_more, wide_blocks = TopK<sorted = 0>(best_of_blocks, num_wide_blocks)"
_BY_SUMMARIES = "best_of_more, places_of_more = TopK<sorted = 0>(estimates, num_wide_blocks)"
_WIDE_SEARCH = Template("""
    $wide_blocks
    codes_of_wide_blocks = Gather(item_codes_by_block, wide_blocks)
    codes_of_wide = Reshape(codes_of_wide_blocks, in_coordinates)
    fine_by_wide_block = MatMulInteger(code_of_each, codes_of_wide, code_zero)
    wide_fine = Reshape(fine_by_wide_block, in_rows)
    best_wide_fine, places_of_wide = TopK<sorted = 0>(wide_fine, num_wide_candidates)
    $wide_places
    unordered_wide = Gather(items_by_block, wide_places)
    wide, wide_before = TopK<largest = 0>(unordered_wide, num_wide_candidates)
    vectors_of_wide = Gather(table, wide)
    column_of_wide_scores = MatMul(vectors_of_wide, query_column)
    scores_of_wide = Squeeze(column_of_wide_scores, last)
    wide_and_added = Concat<axis = 1>(wide, added_items)
    scores_of_both = Concat<axis = 1>(scores_of_wide, scores_of_added)
    best_wide_scores, best_wide_places = TopK(scores_of_both, num_wide_trusted)
    best_wide = GatherElements<axis = 1>(wide_and_added, best_wide_places)
    are_allowed_wide = GatherElements<axis = 1>(open, best_wide)
    are_real_wide = Greater(best_wide, zero)
    best_wide_are_open = And(are_allowed_wide, are_real_wide)
    counted_wide = Cast<to = 7>(best_wide_are_open)
    num_open_wide_by_line = ReduceSum(counted_wide, items_axis)
    num_open_wide = ReduceMin<keepdims = 0>(num_open_wide_by_line)
    are_wide_used = GreaterOrEqual(num_open_wide, k)
    scores_in_all, items_in_all = If(are_wide_used) <
        then_branch = wide_found () => (
            float[batch, num_answered] scores_in_wide, int64[batch, num_answered] items_in_wide
        ) {
            open_wide_scores = Where(best_wide_are_open, best_wide_scores, never)
            scores_in_wide, found_wide_places = TopK(open_wide_scores, k)
            items_in_wide = GatherElements<axis = 1>(best_wide, found_wide_places)
        },
        else_branch = every () => (
            float[batch, num_answered] scores_of_every, int64[batch, num_answered] items_of_every
        ) {
            $search_of_every
        }
    >
""")


def wide_search_text(*, by_heads: bool, number_of_blocks: str, places: str, of_every: str) -> str:
    """Returns the wider search in ONNX's text form, which computes `scores_in_all` and its items.

    Args:
        by_heads: whether blocks were estimated by their items' heads, else by summaries.
        number_of_blocks: text that computes `wide_blocks` from `places_of_more`; for summaries.
        places: text that computes `wide_places` from `places_of_wide`.
        of_every: the search of all items, which computes `scores_of_every` and `items_of_every`.
    """
    blocks = _BY_HEADS if by_heads else _BY_SUMMARIES + number_of_blocks
    return _WIDE_SEARCH.substitute(wide_blocks=blocks, wide_places=places, search_of_every=of_every)
