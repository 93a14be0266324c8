from dataclasses import replace

import numpy as np
import pytest
import torch

from training.distillation.losses.teacher_lists import ranking_lists
from training.errors import KnowledgeError
from training.knowledge import Answers
from training.settings.experiment import DistillationConfig

ANSWERS = Answers(
    rows=np.array([2, 5]),
    rankings=np.array([[7, 3, 4], [8, 1, 9]], dtype=np.int32),
    distances=np.zeros((2, 3), dtype=np.float32),
    next_item_distances=np.zeros(2, dtype=np.float32),
)
CONFIG = DistillationConfig(
    ranking_weight=0.3,
    list_length=2,
    position_temperature=1.0,
    confidence=False,
    consistency=False,
)


def test_a_row_finds_the_top_of_its_list_with_weights_that_sum_to_one() -> None:
    rankings, weights, share = ranking_lists(ANSWERS, 6, CONFIG).of(torch.tensor([5, 2]))

    assert rankings.tolist() == [[8, 1], [7, 3]]
    assert weights.sum(dim=1).tolist() == pytest.approx([1, 1])
    assert weights[0, 0] / weights[0, 1] == pytest.approx(np.e)
    assert share.tolist() == pytest.approx([0.3, 0.3])


def test_consistency_is_added_to_items_in_the_students_own_top_k() -> None:
    """Two of four items are in the student's top K; eq. 10 with gammas 0.3 and 0.1."""
    lists = ranking_lists(ANSWERS, 6, CONFIG.model_copy(update={"consistency": True}))
    table = torch.tensor([[0.0], [1.0], [2.0], [7.0], [1.5], [0], [0], [8.0], [3.0], [4.0]])
    rankings, weights, _ = lists.of(torch.tensor([5, 2]))
    assert lists.own_list_length == 2

    weights = lists.with_consistency(
        rankings, weights, table[rankings, 0], torch.tensor([7.0, 7.0])
    )

    first, second = (0.75 * np.e / (1 + np.e), 0.75 / (1 + np.e))
    assert weights[0].tolist() == pytest.approx([first, second])  # items 8 and 1: neither
    assert weights[1].tolist() == pytest.approx([first + 0.125, second + 0.125])  # 7 and 3: both


def test_a_row_without_an_answer_has_share_zero() -> None:
    _, weights, share = ranking_lists(ANSWERS, 6, CONFIG).of(torch.tensor([3]))

    assert weights.tolist() == [[0, 0]]
    assert share.tolist() == [0]


def test_consistency_compares_with_no_more_items_than_the_lists_have() -> None:
    longer = CONFIG.model_copy(update={"consistency": True, "list_length": 10})
    assert ranking_lists(ANSWERS, 6, longer).own_list_length == 3


def test_a_list_of_distributions_has_the_teachers_probabilities_as_weights() -> None:
    """The distances are minus their logarithms; an empty place has none, whatever it holds."""
    answers = replace(
        ANSWERS,
        rankings=np.array([[7, 3, 4], [8, 0, 9]], dtype=np.int32),
        distances=-np.log(np.array([[0.5, 0.25, 0.1], [0.75, 0.9, 0.05]], dtype=np.float32)),
    )
    config = CONFIG.model_copy(
        update={"list_loss": "distribution", "distribution_weight": 0.3, "consistency": True}
    )

    lists = ranking_lists(answers, 6, config)
    _, weights, share = lists.of(torch.tensor([2, 5]))

    assert weights[0].tolist() == pytest.approx([0.5, 0.25, 0.1])
    assert weights[1].tolist() == pytest.approx([0.75, 0, 0.05])
    assert share.tolist() == pytest.approx([0.3, 0.3])
    assert lists.own_list_length == 0
    losses = lists.loss(-weights.log().clamp(min=-99), weights)  # a student that agrees
    entropy = -(weights * weights.clamp(min=1e-9).log()).sum(dim=1)
    rest = 1 - weights.sum(dim=1)
    assert losses.tolist() == pytest.approx((entropy - rest * rest.log()).tolist())


def test_distances_that_are_no_probabilities_are_refused_for_distributions() -> None:
    config = CONFIG.model_copy(update={"list_loss": "distribution"})

    with pytest.raises(KnowledgeError, match=r"sum to 3\.000; only a fusion teacher's lists"):
        ranking_lists(ANSWERS, 6, config)
