import numpy as np
import pytest
import torch

from training.config import DistillationConfig
from training.distillation.lists import ranking_lists
from training.teacher.knowledge import Answers

ANSWERS = Answers(
    rows=np.array([2, 5]),
    rankings=np.array([[7, 3, 4], [8, 1, 9]], dtype=np.int32),
    distances=np.zeros((2, 3), dtype=np.float32),
    next_item_distances=np.zeros(2, dtype=np.float32),
)
CONFIG = DistillationConfig(ranking_weight=0.3, list_length=2, position_temperature=1.0)


def test_a_row_finds_the_top_of_its_list_with_weights_that_sum_to_one() -> None:
    rankings, weights, share = ranking_lists(ANSWERS, 6, CONFIG).of(torch.tensor([5, 2]))

    assert rankings.tolist() == [[8, 1], [7, 3]]
    assert weights.sum(dim=1).tolist() == pytest.approx([1, 1])
    assert weights[0, 0] / weights[0, 1] == pytest.approx(np.e)
    assert share.tolist() == pytest.approx([0.3, 0.3])


def test_a_row_without_an_answer_leaves_the_teacher_no_share() -> None:
    _, weights, share = ranking_lists(ANSWERS, 6, CONFIG).of(torch.tensor([3]))

    assert weights.tolist() == [[0, 0]]
    assert share.tolist() == [0]
