"""Defines how blocks are chosen and their items become a list, for both searches by blocks.

All items of the chosen blocks are scored from codes. The best become candidates, the best of those
are trusted, and the list is made of the trusted ones if enough of them may be recommended.
"""

from string import Template

# Reads the blocks' estimates and the query's codes; computes the best blocks, `chosen_blocks`, and
# the scores of their items from codes, `fine`. All names end in the search's suffix.
_FINE = Template("""
    best_estimates$s, places_of_blocks$s = TopK<sorted = 0>($estimates, num_chosen_blocks$s)
    $blocks_of_places
    # A block's codes lie coordinate by coordinate, and the query is the left factor: onnxruntime
    # takes twice as long for a matrix times a column.
    codes_of_blocks$s = Gather(item_codes_by_block, chosen_blocks$s)
    codes_of_chosen$s = Reshape(codes_of_blocks$s, in_coordinates)
    fine_by_block$s = MatMulInteger(code_of_each, codes_of_chosen$s, code_zero)
    fine$s = Reshape(fine_by_block$s, in_rows)
""")
# Reads `chosen_blocks` and `fine`; computes `best_scores` and `best_items`, the trusted candidates
# with the added items among them, best first. All names end in the search's suffix.
_CANDIDATES = Template("""
    best_fine$s, places_of_fine$s = TopK<sorted = 0>(fine$s, num_candidates$s)
    $places_of_items
    unordered$s = Gather(items_by_block, places_of_items$s)
    # Items of equal scores are answered in the order of their indices.
    chosen$s, chosen_before$s = TopK<largest = 0>(unordered$s, num_candidates$s)

    vectors_of_chosen$s = Gather(table, chosen$s)
    column_of_scores$s = MatMul(vectors_of_chosen$s, query_column)
    scores_of_chosen$s = Squeeze(column_of_scores$s, last)
    candidates$s = Concat<axis = 1>(chosen$s, added_items)
    candidate_scores$s = Concat<axis = 1>(scores_of_chosen$s, scores_of_added)
    best_scores$s, best_places$s = TopK(candidate_scores$s, num_trusted$s)
    best_items$s = GatherElements<axis = 1>(candidates$s, best_places$s)
""")
# Reads `best_are_open`, which of the trusted candidates may be recommended; computes whether each
# line has `k` of them.
_USE = Template("""
    counted$s = Cast<to = 7>(best_are_open$s)
    num_open_by_line$s = ReduceSum(counted$s, items_axis)
    num_open$s = ReduceMin<keepdims = 0>(num_open_by_line$s)
    are_used$s = GreaterOrEqual(num_open$s, k)
""")


def fine_text(estimates: str, suffix: str = "", *, by_heads: bool) -> str:
    """Returns the text that chooses blocks and scores their items from codes.

    Args:
        estimates: name of the blocks' estimates, `[batch, estimated blocks]`.
        suffix: end of all names that it computes.
        by_heads: whether all blocks are estimated, else those of the chosen groups.
    """
    chosen, places = f"chosen_blocks{suffix}", f"places_of_blocks{suffix}"
    blocks_of_places = (
        f"{chosen} = Identity({places})"
        if by_heads
        else numbers_of_members(chosen, places, "chosen_groups", "group_size")
    )
    return _FINE.substitute(s=suffix, estimates=estimates, blocks_of_places=blocks_of_places)


def candidates_text(suffix: str = "") -> str:
    """Returns the text of the candidates; `suffix`: end of all names that it computes."""
    places = numbers_of_members(
        f"places_of_items{suffix}",
        f"places_of_fine{suffix}",
        f"chosen_blocks{suffix}",
        "block_size",
    )
    return _CANDIDATES.substitute(s=suffix, places_of_items=places)


def use_text(suffix: str = "") -> str:
    """Returns the text that computes whether the list is made of the candidates, `are_used`.

    `suffix`: end of all names that it computes.
    """
    return _USE.substitute(s=suffix)


def numbers_of_members(found: str, places: str, parts: str, size: str) -> str:
    """Returns text that computes the numbers `found` of members among those of all parts.

    Each part has `size` members. `places` count the members of the chosen `parts` alone.
    """
    return f"""
    part_of_{found} = Div({places}, {size})
    number_of_part_of_{found} = GatherElements<axis = 1>({parts}, part_of_{found})
    first_in_part_of_{found} = Mul(number_of_part_of_{found}, {size})
    place_in_part_of_{found} = Mod({places}, {size})
    {found} = Add(first_in_part_of_{found}, place_in_part_of_{found})
"""
