import torch
from torch.nn import Parameter

from training.compute.weight_average import WeightAverage


def test_each_step_moves_the_average_by_its_share_of_the_epochs() -> None:
    """Two epochs of two steps: a quarter for each."""
    weight = Parameter(torch.tensor([1.0, 0.0]))
    average = WeightAverage([weight], epochs=2)

    for value in (5.0, 2.0):
        weight.data.fill_(value)
        average.include(num_steps=2)

    # 1 -> .75 + .25 * 5 = 2 -> .75 * 2 + .25 * 2 = 2; 0 -> 1.25 -> .75 * 1.25 + .5 = 1.4375
    assert average.weights[0].tolist() == [2.0, 1.4375]
    assert weight.tolist() == [2.0, 2.0]


def test_an_average_over_less_than_a_step_is_the_weights() -> None:
    weight = Parameter(torch.tensor([1.0]))
    average = WeightAverage([weight], epochs=0.1)
    weight.data.fill_(3.0)

    average.include(num_steps=2)

    assert average.weights[0].tolist() == [3.0]


def test_the_average_takes_the_place_of_the_weights_for_a_while_only() -> None:
    weight = Parameter(torch.tensor([1.0]))
    average = WeightAverage([weight], epochs=1)
    weight.data.fill_(3.0)
    average.include(num_steps=2)

    with average.in_place():
        assert weight.tolist() == [2.0]

    assert weight.tolist() == [3.0]
    assert average.weights[0].tolist() == [2.0]
