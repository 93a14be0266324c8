"""Matching: the LLM's state before each next item against every title, under full softmax.

State and title embedding are projected to unit vectors of one space; their Euclidean distance is
the teacher's distance (paper eq. 4), and the score of the softmax is a decreasing function of it.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.compute.catalog_softmax import softmax_of_catalog
from training.errors import KnowledgeError

INITIAL_SCALE = 20.0
MOST_KEPT = 2**27  # scores, 512 MB, for seven tenths of the time: batches are large and alone
MATCHER_NAME = "matcher.pt"


class Matcher(nn.Module):
    """Projects LLM states to queries and LLM title embeddings to items, both of unit length."""

    title_embeddings: Tensor

    def __init__(self, states: Tensor, title_embeddings: Tensor, size: int, dropout: float) -> None:
        """Takes the scale of its inputs from training `states` and `title_embeddings`."""
        super().__init__()
        self.register_buffer("title_embeddings", title_embeddings, persistent=False)
        self.query_projection = projection(states, size, dropout)
        self.title_projection = projection(title_embeddings[1:], size, dropout)
        self.log_scale = nn.Parameter(torch.tensor(math.log(INITIAL_SCALE)))

    def queries(self, states: Tensor) -> Tensor:
        """`[examples, hidden]` states to unit queries `[examples, size]`."""
        return functional.normalize(self.query_projection(states), dim=-1)

    def items(self) -> Tensor:
        """Unit vectors of all items, `[catalog rows, size]`; row 0 means nothing."""
        return functional.normalize(self.title_projection(self.title_embeddings), dim=-1)

    def loss(self, states: Tensor, next_items: Tensor) -> Tensor:
        """Full-softmax cross-entropy over the catalog, padding left out."""
        queries = self.log_scale.exp() * self.queries(states)
        normaliser, wanted, _ = softmax_of_catalog(
            queries, self.items(), next_items[:, None], most_kept=MOST_KEPT
        )
        return (normaliser - wanted[:, 0]).mean()

    def distances(self, states: Tensor, items: Tensor) -> Tensor:
        """Euclidean distances `[examples, catalog rows]`, in [0, 2]."""
        return (2 - 2 * self.queries(states) @ items.T).clamp_min(0).sqrt()


class Standardise(nn.Module):
    """Zero mean and unit variance per dimension.

    LLM states share one dominant direction; standardised they can be told apart.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, sample: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", sample.mean(dim=0))
        self.register_buffer("spread", sample.std(dim=0).clamp_min(1e-6))

    def forward(self, vectors: Tensor) -> Tensor:
        """Same shape as `vectors` `[..., size]`."""
        return (vectors - self.mean) / self.spread


def projection(sample: Tensor, size: int, dropout: float) -> nn.Sequential:
    """A two-layer perceptron on inputs that look like `sample` `[n, hidden]`."""
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
    """Writes the projections in half precision; the title embeddings stay with the knowledge."""
    state = {name: tensor.half().cpu() for name, tensor in matcher.state_dict().items()}
    torch.save(state, folder / MATCHER_NAME)


def load_matcher(folder: Path, title_embeddings: Tensor, dropout: float = 0.0) -> Matcher:
    """Reads what `save_matcher` wrote; `dropout` is for those who train it further.

    Raises:
        KnowledgeError: there is none.
    """
    try:
        state = torch.load(folder / MATCHER_NAME, weights_only=True)
    except FileNotFoundError:
        raise KnowledgeError(f"{folder / MATCHER_NAME}: missing; make it with `teach`") from None
    size = len(state["query_projection.5.bias"])
    matcher = Matcher(title_embeddings, title_embeddings, size, dropout)
    matcher.load_state_dict(state)
    return matcher.eval()
