"""Names of the inputs and outputs of a bundle's graphs. Standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tensors:
    """Names of the ranking graph's inputs and outputs.

    Inputs:
        history: int64 `[batch, length]`, oldest first, any length >= 1; 0 is padding, in any place.
        excluded: int64 `[batch, any]`, items that are not answered; 0 excludes nothing.
        allowed: bool `[batch or 1, items + added + 1]`, items that may be answered.
        mask_seen: bool scalar, whether no item of `history` is answered, old ones included.
        k: int64 `[1]`, the number of items to answer.
        added: float32 `[added, hidden]`, vectors of items that the table does not have; their
            indices are items + 1, items + 2 and so on. It may have no rows.

    Outputs:
        item_indices: int64 `[batch, min(k, items + added)]`, best first; equal scores in index
            order; 0 in places that no allowed item is left to fill.
        scores: float32 of that shape; -inf in such places.
        table: float32 `[items + 1, hidden]`, the item vectors, row 0 for padding. It is a constant:
            it costs nothing unless a run asks for it.

    The common-case graph has four of them, see `COMMON_CASE_TENSORS`.
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
        embeddings: float32 `[batch, size]`, as the teacher's knowledge holds them.
        vectors: float32 `[batch, hidden]`, which the ranking graph takes as `added`.
    """

    embeddings: str = "embeddings"
    vectors: str = "vectors"


TENSORS = Tensors()
ENCODER_TENSORS = EncoderTensors()

# The most items that a common-case query asks for. Beyond, the graph proves too few answers to
# save time.
MAX_COMMON_CASE_K = 50
COMMON_CASE_TENSORS = (TENSORS.history, TENSORS.k, TENSORS.item_indices, TENSORS.scores)
"""Names of the common-case graph's inputs and outputs.

A query is the common case where its history holds items of the table only, without padding, and
the best of all unseen items are asked for: nothing excluded, filtered or added. `k` is at most
`MAX_COMMON_CASE_K` and at most the number of items.

`history` is `[batch, length]`. Histories may share a batch where the newest items that the student
reads are equally many: padding may precede those, but not lie among them.

A score of -inf says that the graph proves nothing about its place; the ranking graph answers then.
"""
