"""Names of the inputs and outputs of a bundle's graphs. Standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tensors:
    """Names of the ranking graph's inputs and outputs.

    Inputs:
        history: int64 `[batch, length]`, item indices, oldest first, any length >= 1; 0 is padding
            and may occur anywhere.
        excluded: int64 `[batch, any]`, item indices that must not be answered; 0 excludes nothing.
        allowed: bool `[batch or 1, items + added + 1]`, whether each item may be answered.
        mask_seen: bool scalar, whether all items of `history` are left out of the answer, also
            those before the window.
        k: int64 `[1]`, number of items to answer.
        added: float32 `[added, hidden]`, vectors of the added items; their indices are items + 1,
            items + 2 and so on. It may have no rows.

    Outputs:
        item_indices: int64 `[batch, min(k, items + added)]`, best first; items of equal score in
            index order; 0 after the last allowed item, if fewer than k are allowed.
        scores: float32 of the same shape; -inf where item_indices is 0.
        table: float32 `[items + 1, hidden]`, the item vectors, row 0 for padding. It is a constant,
            so it costs no time unless a run requests it.

    The common-case graph has only the four of `COMMON_CASE_TENSORS`.
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
    """Names of the item encoder's input and output.

    Attributes:
        embeddings: float32 `[batch, size]`, LLM embeddings of titles, as the teacher's knowledge
            stores them.
        vectors: float32 `[batch, hidden]`, item vectors, as the ranking graph's input `added`.
    """

    embeddings: str = "embeddings"
    vectors: str = "vectors"


TENSORS = Tensors()
ENCODER_TENSORS = EncoderTensors()

# Maximum k of a common-case query. For a larger k, the graph can prove too few of its answers
# exact to save time.
MAX_COMMON_CASE_K = 50
COMMON_CASE_TENSORS = (TENSORS.history, TENSORS.k, TENSORS.item_indices, TENSORS.scores)
"""Names of the common-case graph's inputs and outputs.

A query is a common-case query if its history holds items of the table only, without padding, and
it asks for the best of all unseen items: nothing is excluded, filtered or added. `k` is at most
`MAX_COMMON_CASE_K` and at most the number of items.

`history` is `[batch, length]`. Histories may share a batch if the student reads equally many items
of each. Padding may precede those items, but not lie between them.

A score of -inf means that the graph could not prove which item belongs at this position. Then the
ranking graph must answer the query.
"""
