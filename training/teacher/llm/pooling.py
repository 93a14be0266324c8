"""Pooling: which of the states that an LLM has of a history stand for it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.settings.teacher import Pooling


@dataclass(frozen=True)
class Spans:
    """Where titles stand in prompts: their `line`, `first` and `last` token, `[titles]` each."""

    line: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def pooled(states: Tensor, newest: Spans, pooling: Pooling) -> Tensor:
    """What stands for histories that end in titles, `[titles, hidden]`.

    Args:
        states: `[prompts, tokens, hidden]`.
        newest: the last title of each history.
        pooling: `last`, the state of its last token; `mean`, that of all of its tokens.
    """
    line, first, last = map(torch.from_numpy, (newest.line, newest.first, newest.last))
    if pooling == "last":
        return states[line, last]
    sums = torch.nn.functional.pad(states.float().cumsum(dim=1), (0, 0, 1, 0))
    count = (last + 1 - first).to(states.device)
    return (sums[line, last + 1] - sums[line, first]) / count[:, None]
