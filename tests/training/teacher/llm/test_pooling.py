"""Which states stand for a history."""

import numpy as np
import torch

from training.teacher.llm.pooling import Spans, pooled

STATES = torch.tensor([[[1.0], [2.0], [4.0], [8.0]], [[3.0], [5.0], [7.0], [9.0]]])
NEWEST = Spans(line=np.array([0, 0, 1]), first=np.array([0, 2, 1]), last=np.array([1, 3, 1]))


def test_the_last_token_of_the_newest_title_stands_for_a_history() -> None:
    assert pooled(STATES, NEWEST, "last").tolist() == [[2], [8], [5]]


def test_or_the_mean_over_the_tokens_of_that_title_and_of_no_other() -> None:
    assert pooled(STATES, NEWEST, "mean").tolist() == [[1.5], [6], [5]]


def test_a_mean_of_half_precision_states_is_taken_in_full() -> None:
    # In bfloat16 a sum beyond 256 would lose the ones.
    states = torch.ones(1, 600, 1, dtype=torch.bfloat16)
    newest = Spans(line=np.array([0]), first=np.array([400]), last=np.array([599]))
    assert pooled(states, newest, "mean").item() == 1
