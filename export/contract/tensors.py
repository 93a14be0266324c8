"""Names of the inputs and outputs of a bundle's ONNX graphs. Imports the standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tensors:
    """Names of the ranking graph's inputs and outputs.

    Inputs:
        history: int64 `[batch, length]`, item indices, oldest first. The length is at least 1. 0 is
            padding, at any place.
        excluded: int64 `[batch, excluded]`, item indices that must not be recommended; 0 excludes
            nothing.
        allowed: bool `[batch or 1, items + added + 1]`, whether each item may be recommended.
        mask_seen: bool scalar, whether to leave out the items of `history`, those before the window
            included.
        k: int64 `[1]`, number of items to recommend.
        added: float32 `[added, hidden]`, item vectors of the added items; `added` can be 0. Their
            item indices are items + 1, items + 2 and so on.

    Outputs:
        item_indices: int64 `[batch, min(k, items + added)]`, best first; items of equal score are
            in index order, but for a search with proof (`export.graphs.proven.search`), which
            keeps those with equal vectors in it. If fewer items are allowed, zeros follow the last
            of them.
        scores: float32 of the shape of `item_indices`; -inf where `item_indices` is 0.
        table: float32 `[items + 1, hidden]`, item vectors; row 0 is padding. This output is a
            constant, so it costs no time unless a run requests it.

    The common-case graph has only the inputs and outputs in `COMMON_CASE_TENSORS`.
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
        embeddings: name of the input, float32 `[batch, size]`: LLM embeddings of titles, in the
            form in which the teacher's knowledge stores them.
        vectors: name of the output, float32 `[batch, hidden]`: item vectors, in the form of the
            ranking graph's input `added`.
    """

    embeddings: str = "embeddings"
    vectors: str = "vectors"


TENSORS = Tensors()

SHARED_TABLES = ("table", "item_codes_by_block")
"""Names of the ranking graph's constants that can lie in a file `NAME.npy` each.

They do if the graph searches by blocks, and refers to the files as ONNX's external data. The
processes of a machine map the files, so that they share one copy in memory.
"""
ENCODER_TENSORS = EncoderTensors()

# Maximum k of a common-case query. For a larger k, the graph can prove too few answers to save
# time.
MAX_COMMON_CASE_K = 50
COMMON_CASE_TENSORS = (TENSORS.history, TENSORS.k, TENSORS.item_indices, TENSORS.scores)
"""Names of the common-case graph's inputs and outputs.

In a common-case query, the history has at least one item, only items of the table, and no padding.
The query asks for the best unseen items, without filters, exclusions or added items. `k` is at most
`MAX_COMMON_CASE_K` and at most the number of items.

`history` is `[batch, length]`. Histories can share a batch if the student reads the same number of
items of each. Padding must come before these items, and not between them.

A score of -inf means that the graph could not prove which item belongs at this position. The
ranking graph must then answer the query.
"""
