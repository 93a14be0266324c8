"""Pooling of the LLM's states."""

import numpy as np
import torch

from training.teacher.llm.pooling import Spans, pooled

STATES = torch.tensor([[[1.0], [2.0], [4.0], [8.0]], [[3.0], [5.0], [7.0], [9.0]]])
NEWEST = Spans(prompt=np.array([0, 0, 1]), first=np.array([0, 2, 1]), last=np.array([1, 3, 1]))


def test_last_pooling_takes_the_last_token_of_the_newest_title() -> None:
    assert pooled(STATES, NEWEST, "last").tolist() == [[2], [8], [5]]


def test_mean_pooling_takes_the_tokens_of_the_newest_title_only() -> None:
    assert pooled(STATES, NEWEST, "mean").tolist() == [[1.5], [6], [5]]


def test_a_mean_of_half_precision_states_is_computed_in_full_precision() -> None:
    # In bfloat16 a sum beyond 256 would lose the ones.
    states = torch.ones(1, 600, 1, dtype=torch.bfloat16)
    newest = Spans(prompt=np.array([0]), first=np.array([400]), last=np.array([599]))
    assert pooled(states, newest, "mean").item() == 1
