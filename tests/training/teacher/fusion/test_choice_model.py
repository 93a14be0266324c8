"""The weights of signals, and the probabilities that they make."""

import math

import numpy as np
import pytest
import torch

from training.data.dataset import Dataset
from training.evaluation.baselines.ordered_neighbours import OrderedNeighbours, OrderedSettings
from training.teacher.fusion.choice_model import (
    fit,
    fit_on_validation,
    minus_log_probabilities,
    odds,
)
from training.teacher.fusion.signals import SignalName, Signals


def test_a_signal_of_three_choices_in_four_weighs_log_three() -> None:
    """With two items, of which one has the signal, its probability is `1 / (1 + exp(-w))`."""
    signals = torch.tensor([[[1.0], [0.0]]]).repeat(4, 1, 1)
    chosen = torch.tensor([0, 0, 0, 1])

    (weight,) = fit(signals, torch.ones(4, 2, dtype=torch.bool), chosen).tolist()

    assert weight == pytest.approx(math.log(3), abs=0.02)


def test_an_item_that_could_not_be_chosen_weighs_on_nothing() -> None:
    """The third item has the signal, too, and was never chosen, but was never allowed either."""
    signals = torch.tensor([[[1.0], [0.0], [1.0]]]).repeat(4, 1, 1)
    allowed = torch.tensor([[True, True, False]]).repeat(4, 1)

    (weight,) = fit(signals, allowed, torch.tensor([0, 0, 0, 1])).tolist()

    assert weight == pytest.approx(math.log(3), abs=0.02)


def test_a_constant_signal_and_no_example_at_all_weigh_nothing() -> None:
    signals = torch.ones(4, 2, 1)
    allowed = torch.ones(4, 2, dtype=torch.bool)

    assert fit(signals, allowed, torch.tensor([0, 0, 0, 1])).tolist() == pytest.approx([0])
    assert fit(signals[:0], allowed[:0], torch.zeros(0, dtype=torch.int64)).tolist() == [0]


def test_odds_are_the_weighted_sum_of_signals() -> None:
    signals: dict[SignalName, torch.Tensor] = {
        "titles": torch.tensor([[1.0, 2.0]]),
        "popularity": torch.tensor([[10.0, 20.0]]),
    }

    summed = odds(signals, {"titles": 0.5, "popularity": 2.0})

    assert summed.tolist() == [[20.5, 41.0]]


def test_probabilities_are_those_of_allowed_items() -> None:
    scores = torch.tensor([[9.0, math.log(1), math.log(3), math.log(4)]])  # padding comes first
    allowed = torch.tensor([[True, True, True, False]])

    distances = minus_log_probabilities(scores, allowed)

    assert distances[0, 1:].tolist() == pytest.approx([math.log(4), math.log(4 / 3), 0])


def test_the_weights_of_a_ring_say_that_neighbours_know_the_next_item(
    chain_dataset: Dataset,
) -> None:
    neighbours = OrderedNeighbours(chain_dataset, OrderedSettings(backward=0.0))
    signals = Signals(neighbours, None)

    weights = fit_on_validation(signals, chain_dataset)

    assert list(weights) == ["neighbours", "matched", "popularity"]
    row = np.array([5])  # the first user's validation example: item 6 is next
    assert int(odds(signals(row), weights)[0].argmax()) == chain_dataset.item_indices[5] == 6
