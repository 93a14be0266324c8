import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset
from training.settings.teacher import TeacherConfig, WritingConfig
from training.teacher.generative.injection import (
    Exponents,
    InjectedSignals,
    choose_exponents,
    injected,
    with_signals,
)

DISTANCES = torch.tensor([[7.0, 2.0, 4.0, 6.0]])  # of padding and three items


def test_distances_are_scaled_to_zero_to_one_and_divided_by_the_signals() -> None:
    signal = torch.tensor([0.0, 1.0, 1.0, 0.5])
    # (2, 4, 6) becomes (0, 1/2, 1), divided by (1 + 1)^2, (1 + 1)^2, (1 + 1/2)^2
    expected = torch.tensor([0.0, 0.125, 1 / 2.25])
    torch.testing.assert_close(injected(DISTANCES, [(signal, 2.0)])[0, 1:], expected)


def test_injection_keeps_the_nearest_item_nearest() -> None:
    popular_last = torch.tensor([0.0, 0.0, 0.0, 1.0])
    nearness = injected(DISTANCES, [(popular_last, 100.0)])[0, 1:]
    assert nearness.argmin() == 0
    assert nearness[2] < nearness[1]


def test_popularity_counts_training_interactions_only(tiny_dataset: Dataset) -> None:
    # in training a is chosen twice, b twice, c three times; d and e never
    expected = torch.tensor([0, 2 / 3, 2 / 3, 1, 0, 0])
    torch.testing.assert_close(InjectedSignals(tiny_dataset).popularity, expected)


def test_a_training_example_does_not_count_itself(tiny_dataset: Dataset) -> None:
    signals = InjectedSignals(tiny_dataset)
    # b is followed by c in rows 2 (ann) and 6 (bob); one of them asks
    live = signals.transitions(np.array([2]))
    stored = signals.transitions_before(np.array([2]))
    assert live[0, 3] == stored[0, 3] == 1  # the other one is left
    # a is followed by b in row 1 only
    assert signals.transitions(np.array([1]))[0, 2] == 1
    assert not signals.transitions_before(np.array([1])).any()


def test_held_out_examples_use_all_training_transitions(tiny_dataset: Dataset) -> None:
    signals = InjectedSignals(tiny_dataset)
    torch.testing.assert_close(
        signals.transitions_before(np.array([7])),  # bob after c
        signals.transitions(np.array([3])),
    )


@pytest.mark.parametrize("is_on", [True, False])
def test_validation_picks_how_strongly_a_signal_is_injected(
    contrary_dataset: Dataset, is_on: bool
) -> None:
    """The teacher ranks at random; on a ring, the last item determines the next one."""
    config = TeacherConfig(writing=WritingConfig(inject_transitions=is_on))

    def distances(rows: NDArray[np.int64]) -> Tensor:
        unknowing = torch.linspace(1, 2, contrary_dataset.catalog.num_rows)
        return unknowing.expand(len(rows), -1).clone()

    exponents = choose_exponents(
        distances, InjectedSignals(contrary_dataset), contrary_dataset, config
    )
    assert (exponents.transitions > 0) == is_on
    assert exponents.popularity == 0


def test_distances_are_unchanged_without_injection(tiny_dataset: Dataset) -> None:
    def distances(rows: NDArray[np.int64]) -> Tensor:
        return DISTANCES.expand(len(rows), -1)

    assert with_signals(distances, InjectedSignals(tiny_dataset), Exponents()) is distances
