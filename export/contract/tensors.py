"""What goes into a bundle's graphs and what comes out, by name. Standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tensors:
    """The names of the ranking graph's inputs and outputs.

    Inputs: `history` int64 `[batch, length]`, oldest first, 0 = padding, any length >= 1 and any
    place for the padding; `excluded` int64 `[batch, any]`, never answered, 0 = nothing;
    `allowed` bool `[batch or 1, items + added + 1]`, what may be answered; `mask_seen` bool scalar,
    whether items of `history` (all of it, not only the newest) may not be answered; `k` int64
    `[1]`; `added` float32 `[added, hidden]`, vectors of items that the table does not have, of
    index items + 1, items + 2 …; no rows = none.

    Outputs: `item_indices` int64 `[batch, min(k, items + added)]` and `scores` float32 of that
    shape, best first, equal scores in index order; a place that no allowed item is left to fill
    holds index 0 and score -inf. `table` float32 `[items + 1, hidden]`, the item vectors, row 0
    padding; a constant, which costs nothing unless it is asked for.

    The graph of plain questions has but four of them, see `COMMON_CASE_TENSORS`.
    """

    history: str = "history"
    excluded: str = "excluded"
    allowed: str = "allowed"
    mask_seen: str = "mask_seen"
    k: str = "k"
    added: str = "added"
    item_indices: str = "item_indices"
    scores: str = "scores"
    table: str = "table"


@dataclass(frozen=True)
class EncoderTensors:
    """The names of the item encoder's input and output.

    `embeddings` float32 `[batch, size]`, as the teacher's knowledge holds them; `vectors` float32
    `[batch, hidden]`, what the ranking graph takes as `added`.
    """

    embeddings: str = "embeddings"
    vectors: str = "vectors"


TENSORS = Tensors()
ENCODER_TENSORS = EncoderTensors()

MAX_COMMON_CASE_K = (
    50  # items that a plain question asks for; of more, too few are proven to save time
)
COMMON_CASE_TENSORS = (TENSORS.history, TENSORS.k, TENSORS.item_indices, TENSORS.scores)
"""What the graph of plain questions reads and writes.

A question is plain where a history of items in the table asks for the best of the others: no
padding, nothing excluded or added, all allowed, what is seen masked. `history` is `[batch,
length]`; padding may stand before the newest items that a student reads, but not among them, so
several are asked together where their windows are of one length. `k` is at most
`MAX_COMMON_CASE_K` and the number of items. A score of -inf says that the graph does not know what
stands there; the ranking graph does.
"""
