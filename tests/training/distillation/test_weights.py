import math

import pytest
import torch

from training.distillation.weights import normalised, position_weights


def test_a_position_weight_falls_exponentially_with_the_rank() -> None:
    weights = position_weights(torch.tensor([[7, 8, 9]]), temperature=2.0)

    assert weights.tolist()[0] == pytest.approx([math.exp(-0.5), math.exp(-1), math.exp(-1.5)])


def test_ten_places_at_temperature_one_weigh_as_in_the_paper() -> None:
    rankings = torch.arange(1, 11)[None]

    weights = normalised(position_weights(rankings, 1.0), rankings).tolist()[0]

    assert weights[:4] == pytest.approx([0.632, 0.233, 0.086, 0.031], abs=1e-3)
    assert sum(weights) == pytest.approx(1)


def test_empty_places_of_a_short_list_weigh_nothing() -> None:
    weights = normalised(torch.tensor([[1.0, 3.0, 6.0]]), torch.tensor([[4, 5, 0]]))

    assert weights.tolist() == [[0.25, 0.75, 0]]


def test_an_empty_list_weighs_nothing_at_all() -> None:
    assert normalised(torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.int64)).tolist() == [[0, 0]]
