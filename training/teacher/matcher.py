"""The matcher of a retrieval teacher: distances from the LLM's state of a history to all titles.

The state of a history and the embeddings of titles are projected to unit vectors of one space. The
Euclidean distance between them is the teacher's distance (DLLM2Rec, eq. 4). The matcher is trained
with a softmax over all titles, in which a nearer title has a higher score.
"""

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.compute.catalog_softmax import softmax_of_catalog
from training.compute.tensor_file import read_tensors, write_tensors
from training.errors import TEACH_AGAIN, KnowledgeError
from training.teacher.llm.states import States
from training.teacher.top_k import Distances

INITIAL_SCALE = 20.0  # factor of cosines in the softmax before training
# Maximum number of scores that the loss stores for its gradient, 512 MB. Storing them takes 70 % of
# the time that computing them again would take.
MAX_STORED_SCORES = 2**27
MATCHER_NAME = "matcher.safetensors"


class Matcher(nn.Module):
    """Projects LLM states and LLM title embeddings to unit vectors of one space.

    Attributes:
        title_embeddings: `[catalog rows, hidden]`, the LLM's embeddings of titles; row 0 is not
            used.
        query_projection: projection of states.
        title_projection: projection of title embeddings.
        log_scale: logarithm of the factor that cosines are multiplied by in the softmax.
    """

    title_embeddings: Tensor

    def __init__(self, states: Tensor, title_embeddings: Tensor, size: int, dropout: float) -> None:
        """Creates untrained projections that standardise their inputs.

        Args:
            states: `[examples, hidden]`, states of training examples. Their mean and standard
                deviation standardise every state.
            title_embeddings: `[catalog rows, hidden]`; row 0 is not used. Their mean and standard
                deviation standardise every title embedding.
            size: number of dimensions of the common space.
            dropout: dropout rate in the projections.
        """
        super().__init__()
        self.register_buffer("title_embeddings", title_embeddings, persistent=False)
        self.query_projection = projection(states, size, dropout)
        self.title_projection = projection(title_embeddings[1:], size, dropout)
        self.log_scale = nn.Parameter(torch.tensor(math.log(INITIAL_SCALE)))

    def queries(self, states: Tensor) -> Tensor:
        """Projects states `[examples, hidden]` to unit vectors `[examples, size]`."""
        return functional.normalize(self.query_projection(states), dim=-1)

    def items(self) -> Tensor:
        """Projects all titles to unit vectors, `[catalog rows, size]`; row 0 is meaningless."""
        return functional.normalize(self.title_projection(self.title_embeddings), dim=-1)

    def loss(self, states: Tensor, next_items: Tensor) -> Tensor:
        """Computes the mean cross-entropy of the next items in a softmax over all items, a scalar.

        `states` is `[examples, hidden]`; `next_items` is `[examples]`, item indices.
        """
        queries = self.log_scale.exp() * self.queries(states)
        normaliser, target_scores, _ = softmax_of_catalog(
            queries, self.items(), next_items[:, None], max_stored=MAX_STORED_SCORES
        )
        return (normaliser - target_scores[:, 0]).mean()

    def distances(self, states: Tensor, items: Tensor) -> Tensor:
        """Computes the distances from states to all items, `[examples, catalog rows]`, in [0, 2].

        Args:
            states: `[examples, hidden]`.
            items: `[catalog rows, size]`, unit vectors from the method `items`.
        """
        return (2 - 2 * self.queries(states) @ items.T).clamp_min(0).sqrt()


def matcher_distances(matcher: Matcher, states: States) -> Distances:
    """Returns a function from dataset rows of examples in `states` to the distances of all items.

    As a side effect, `matcher` is put into evaluation mode.
    """
    matcher.eval()
    with torch.inference_mode():
        items = matcher.items()

    def distances(rows: NDArray[np.int64]) -> Tensor:
        return matcher.distances(torch.from_numpy(states.of(rows).states).float(), items)

    return distances


class Standardise(nn.Module):
    """Scales each dimension to mean 0 and variance 1, by the statistics of a sample of vectors.

    All states of an LLM lie near one dominant direction; standardising removes it.

    Args:
        sample: `[n, size]`, the vectors whose mean and standard deviation are used.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, sample: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", sample.mean(dim=0))
        spread = sample.std(dim=0, correction=min(1, len(sample) - 1))  # of one vector 0, not NaN
        self.register_buffer("spread", spread.clamp_min(1e-6))

    def forward(self, vectors: Tensor) -> Tensor:
        """Standardises `vectors`, `[..., size]`; the result has the same shape."""
        return (vectors - self.mean) / self.spread


def projection(sample: Tensor, size: int, dropout: float) -> nn.Sequential:
    """Builds a two-layer perceptron from `hidden` to `size` dimensions.

    Inputs are standardised by the mean and standard deviation of `sample`, `[n, hidden]`. `dropout`
    is the dropout rate before each layer.
    """
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
    """Writes the projections of a matcher into `folder`, in half precision.

    Title embeddings are not written, since they are stored with the knowledge.
    """
    state = {name: tensor.half().cpu() for name, tensor in matcher.state_dict().items()}
    write_tensors(folder / MATCHER_NAME, state)


def load_matcher(folder: Path, title_embeddings: Tensor, dropout: float = 0.0) -> Matcher:
    """Loads the matcher that `save_matcher` wrote into `folder`, in evaluation mode.

    `title_embeddings` is `[catalog rows, hidden]`. `dropout` is the dropout rate of further
    training.

    Raises:
        KnowledgeError: the file is missing.
        TensorFileError: the file is damaged.
    """
    try:
        state = read_tensors(folder / MATCHER_NAME)
    except FileNotFoundError:
        raise KnowledgeError(
            f"{folder / MATCHER_NAME}: missing; make it with {TEACH_AGAIN}"
        ) from None
    size = len(state["query_projection.5.bias"])
    matcher = Matcher(title_embeddings, title_embeddings, size, dropout)
    matcher.load_state_dict(state)
    return matcher.eval()
