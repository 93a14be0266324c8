"""Pooling: reduces the LLM's states of a prompt to one vector for each history."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.settings.teacher import Pooling


@dataclass(frozen=True)
class Spans:
    """Positions of titles in a batch of prompts, `[titles]` each.

    Attributes:
        line: prompt that the title is in.
        first: position of its first token.
        last: position of its last token, the newline.
    """

    line: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def pooled(states: Tensor, newest: Spans, pooling: Pooling) -> Tensor:
    """Returns a vector for each history, `[titles, hidden]`.

    Args:
        states: `[prompts, tokens, hidden]`.
        newest: the last title of each history.
        pooling: `last` takes the state of the title's last token, `mean` the mean over the title.
    """
    line, first, last = map(torch.from_numpy, (newest.line, newest.first, newest.last))
    if pooling == "last":
        return states[line, last]
    sums = torch.nn.functional.pad(states.float().cumsum(dim=1), (0, 0, 1, 0))
    count = (last + 1 - first).to(states.device)
    return (sums[line, last + 1] - sums[line, first]) / count[:, None]
