"""The matcher: scores every title against the LLM's state of a history, under full softmax.

State and title embedding are projected to unit vectors of one space. Their Euclidean distance is
the teacher's distance (paper eq. 4); the score in the softmax decreases with it.
"""

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.compute.catalog_softmax import softmax_of_catalog
from training.errors import KnowledgeError
from training.teacher.llm.states import States
from training.teacher.top_k import Distances

INITIAL_SCALE = 20.0
# Scores that the loss keeps for its gradient: 512 MB, for 70 % of the time of computing them again.
MAX_KEPT_SCORES = 2**27
MATCHER_NAME = "matcher.pt"


class Matcher(nn.Module):
    """Projects LLM states to queries and LLM title embeddings to items, both of unit length."""

    title_embeddings: Tensor

    def __init__(self, states: Tensor, title_embeddings: Tensor, size: int, dropout: float) -> None:
        """Standardises its inputs by training `states` and `title_embeddings`."""
        super().__init__()
        self.register_buffer("title_embeddings", title_embeddings, persistent=False)
        self.query_projection = projection(states, size, dropout)
        self.title_projection = projection(title_embeddings[1:], size, dropout)
        self.log_scale = nn.Parameter(torch.tensor(math.log(INITIAL_SCALE)))

    def queries(self, states: Tensor) -> Tensor:
        """Projects states `[examples, hidden]` to unit vectors `[examples, size]`."""
        return functional.normalize(self.query_projection(states), dim=-1)

    def items(self) -> Tensor:
        """Returns unit vectors of all items, `[catalog rows, size]`; row 0 is meaningless."""
        return functional.normalize(self.title_projection(self.title_embeddings), dim=-1)

    def loss(self, states: Tensor, next_items: Tensor) -> Tensor:
        """Returns the full-softmax cross-entropy over the catalog without padding."""
        queries = self.log_scale.exp() * self.queries(states)
        normaliser, target_scores, _ = softmax_of_catalog(
            queries, self.items(), next_items[:, None], max_stored=MAX_KEPT_SCORES
        )
        return (normaliser - target_scores[:, 0]).mean()

    def distances(self, states: Tensor, items: Tensor) -> Tensor:
        """Returns Euclidean distances `[examples, catalog rows]`, in [0, 2]."""
        return (2 - 2 * self.queries(states) @ items.T).clamp_min(0).sqrt()


def matcher_distances(matcher: Matcher, states: States) -> Distances:
    """Returns the distances of the catalog from `states`, as a function of their rows."""
    matcher.eval()
    with torch.inference_mode():
        items = matcher.items()

    def distances(rows: NDArray[np.int64]) -> Tensor:
        return matcher.distances(torch.from_numpy(states.of(rows).states).float(), items)

    return distances


class Standardise(nn.Module):
    """Scales each dimension to zero mean and unit variance.

    LLM states share one dominant direction; standardising removes it.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, sample: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", sample.mean(dim=0))
        self.register_buffer("spread", sample.std(dim=0).clamp_min(1e-6))

    def forward(self, vectors: Tensor) -> Tensor:
        """Standardises `vectors` `[..., size]`."""
        return (vectors - self.mean) / self.spread


def projection(sample: Tensor, size: int, dropout: float) -> nn.Sequential:
    """Builds a two-layer perceptron whose inputs are distributed as `sample` `[n, hidden]`."""
    hidden = sample.shape[1]
    return nn.Sequential(
        Standardise(sample),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, size),
    )


def save_matcher(matcher: Matcher, folder: Path) -> None:
    """Writes the projections in half precision; title embeddings are stored with the knowledge."""
    state = {name: tensor.half().cpu() for name, tensor in matcher.state_dict().items()}
    torch.save(state, folder / MATCHER_NAME)


def load_matcher(folder: Path, title_embeddings: Tensor, dropout: float = 0.0) -> Matcher:
    """Reads what `save_matcher` wrote; `dropout` matters where it is trained further.

    Raises:
        KnowledgeError: the file is missing.
    """
    try:
        state = torch.load(folder / MATCHER_NAME, weights_only=True)
    except FileNotFoundError:
        raise KnowledgeError(
            f"{folder / MATCHER_NAME}: missing; make it with `python -m training.teach`"
        ) from None
    size = len(state["query_projection.5.bias"])
    matcher = Matcher(title_embeddings, title_embeddings, size, dropout)
    matcher.load_state_dict(state)
    return matcher.eval()
