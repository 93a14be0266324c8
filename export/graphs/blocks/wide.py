"""Defines the wider search by blocks, for queries whose best items may not be recommended.

A user may have seen the best items, or a request may exclude them, so that fewer than `k` of the
trusted ones are open. Then further blocks are read, the next by the same estimates, and more
candidates are scored exactly and trusted. Only if these are too few as well, all items are scored,
which takes many times as long.
"""

from string import Template

from export.graphs.blocks.candidates import candidates_text, fine_text, use_text

_WIDE_SEARCH = Template("""
    # Blocks that have been read get the least estimate: none is read or answered twice.
    shape_of_places = Shape(places_of_blocks)
    least_estimates = Expand(least_estimate, shape_of_places)
    estimates_of_rest = ScatterElements<axis = 1>(estimates, places_of_blocks, least_estimates)
    $fine
    chosen_blocks_read = Concat<axis = 1>(chosen_blocks, chosen_blocks_more)
    fine_read = Concat<axis = 1>(fine, fine_more)
    # All candidates lie in as many blocks, those with the best items: to choose among the items of
    # all blocks would take four times as long.
    fine_in_blocks = Reshape(fine_read, in_items)
    best_in_blocks = ReduceMax<keepdims = 0>(fine_in_blocks, last)
    best_of_blocks_read, best_places_read = TopK<sorted = 0>(best_in_blocks, num_blocks_wide)
    chosen_blocks_wide = GatherElements<axis = 1>(chosen_blocks_read, best_places_read)
    column_of_places_read = Unsqueeze(best_places_read, last)
    fine_of_best_blocks = GatherND<batch_dims = 1>(fine_in_blocks, column_of_places_read)
    fine_wide = Reshape(fine_of_best_blocks, in_rows)
    $candidates
    are_allowed_wide = GatherElements<axis = 1>(open, best_items_wide)
    are_real_wide = Greater(best_items_wide, zero)
    best_are_open_wide = And(are_allowed_wide, are_real_wide)
    $use
    scores_in_all, items_in_all = If(are_used_wide) <
        then_branch = wide_found () => (
            float[batch, num_answered] scores_in_wide, int64[batch, num_answered] items_in_wide
        ) {
            open_scores_wide = Where(best_are_open_wide, best_scores_wide, never)
            scores_in_wide, found_places_wide = TopK(open_scores_wide, k)
            items_in_wide = GatherElements<axis = 1>(best_items_wide, found_places_wide)
        },
        else_branch = every () => (
            float[batch, num_answered] scores_of_every, int64[batch, num_answered] items_of_every
        ) {
            $search_of_every
        }
    >
""")


def wide_search_text(of_every: str, *, by_heads: bool) -> str:
    """Returns the wider search in ONNX's text form, which computes `scores_in_all` and its items.

    Args:
        of_every: the search of all items, which computes `scores_of_every` and `items_of_every`.
        by_heads: whether blocks were estimated by their items' heads, else by summaries.
    """
    return _WIDE_SEARCH.substitute(
        fine=fine_text("estimates_of_rest", "_more", by_heads=by_heads),
        candidates=candidates_text("_wide"),
        use=use_text("_wide"),
        search_of_every=of_every,
    )
