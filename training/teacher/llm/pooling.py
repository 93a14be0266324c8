"""Pooling: reduces an LLM's states of a prompt, one per token, to one state per history."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.settings.teacher import Pooling


@dataclass(frozen=True)
class Spans:
    """Token positions of titles in a batch of prompts; all arrays are `[titles]`.

    Attributes:
        prompt: index of the prompt that the title is in.
        first: position in the prompt of the title's first token.
        last: position in the prompt of the title's last token, the newline.
    """

    prompt: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def pooled(states: Tensor, newest: Spans, pooling: Pooling) -> Tensor:
    """Computes one state for each history from the states of tokens, `[histories, hidden]`.

    Args:
        states: `[prompts, tokens, hidden]`, the states of the tokens.
        newest: positions of the newest title of each history.
        pooling: `last` takes the state of the title's last token, `mean` the mean over all tokens
            of the title.
    """
    prompt, first, last = map(torch.from_numpy, (newest.prompt, newest.first, newest.last))
    if pooling == "last":
        return states[prompt, last]
    sums = torch.nn.functional.pad(states.float().cumsum(dim=1), (0, 0, 1, 0))
    count = (last + 1 - first).to(states.device)
    return (sums[prompt, last + 1] - sums[prompt, first]) / count[:, None]
