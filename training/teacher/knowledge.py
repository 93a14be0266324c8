"""Teacher knowledge: what the LLM answered for every example, and how it sees every item.

The folder is the contract between `teach` and `distill`: `<split>-<part>.npz` shards of answers,
`item_embeddings.npy`, and `knowledge.json` with provenance and the dataset's fingerprint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Answers:
    """The teacher's answers for some examples, one line an example, ascending by row.

    Attributes:
        rows: `[examples]`, dataset rows of the next items.
        rankings: `[examples, K]`, item_index of the teacher's top K, best first, seen items left
            out; the next item may be among them.
        distances: `[examples, K]`, teacher distance of each ranked item, lower = nearer, >= 0.
        next_item_distances: `[examples]`, distance of the true next item (paper eq. 7).
    """

    rows: NDArray[np.int64]
    rankings: NDArray[np.int32]
    distances: NDArray[np.float32]
    next_item_distances: NDArray[np.float32]


@dataclass(frozen=True)
class Knowledge:
    """Everything a student may learn from one teacher about one dataset.

    Attributes:
        item_embeddings: `[catalog rows, size]`, the LLM's embedding of each item, row 0 zeros.
        provenance: model, prompt version, seed, hardware, tokens, seconds, command, commit.
    """

    dataset_fingerprint: str
    train: Answers
    validation: Answers
    test: Answers
    item_embeddings: NDArray[np.float32]
    provenance: Mapping[str, Any]
