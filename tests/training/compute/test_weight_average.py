import torch
from torch.nn import Parameter

from training.compute.weight_average import WeightAverage


def test_each_step_moves_the_average_by_the_rest_of_the_decay() -> None:
    weight = Parameter(torch.tensor([1.0, 0.0]))
    average = WeightAverage([weight], 0.75)

    for value in (5.0, 2.0):
        weight.data.fill_(value)
        average.include()

    # 1 -> .75 + .25 * 5 = 2 -> .75 * 2 + .25 * 2 = 2; 0 -> 1.25 -> .75 * 1.25 + .5 = 1.4375
    assert average.weights[0].tolist() == [2.0, 1.4375]
    assert weight.tolist() == [2.0, 2.0]


def test_the_average_takes_the_place_of_the_weights_for_a_while_only() -> None:
    weight = Parameter(torch.tensor([1.0]))
    average = WeightAverage([weight], 0.5)
    weight.data.fill_(3.0)
    average.include()

    with average.in_place():
        assert weight.tolist() == [2.0]

    assert weight.tolist() == [3.0]
    assert average.weights[0].tolist() == [2.0]
