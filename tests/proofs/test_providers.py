"""A short form of `python -m proofs providers`."""

import sys

import numpy as np
import onnxruntime as ort
import pytest

from proofs.providers import CPU, Lists, differences, prove

OTHERS = [each for each in ort.get_available_providers() if each != CPU]


@pytest.mark.slow
@pytest.mark.skipif(not OTHERS, reason="this onnxruntime has the CPU's provider only")
def test_another_provider_of_this_environment_ranks_as_the_cpu_does() -> None:
    figures = list(prove(python=sys.executable, provider=OTHERS[0], histories=100))
    targets = {each.name: each.value for each in figures if each.at_most is not None}
    assert targets["histories"] == 100
    assert [each.name for each in figures if not each.holds] == []
    assert len(targets) == 5  # and both graphs' lists and scores


@pytest.mark.parametrize(
    ("scores_of_ba", "wrong", "swapped", "gap"),
    [
        ([2.0, 2.0], 0, 1, 0),  # a tie in the other order
        ([2.5, 2.0], 1, 1, 0.5),
    ],
)
def test_a_list_differs_if_scores_at_a_place_are_further_apart_than_a_tie(
    scores_of_ba: list[float], wrong: int, swapped: int, gap: float
) -> None:
    expected = Lists(np.array([["a", "b"]]), np.array([[2.0, 2.0]]), np.zeros(1))
    found = Lists(np.array([["b", "a"]]), np.array([scores_of_ba]), np.zeros(1))
    assert [each.value for each in differences("x", expected, found)] == [wrong, swapped, gap]


def test_an_item_whose_score_differs_is_told_though_scores_by_place_are_equal() -> None:
    scores = np.array([[2.0, 1.0]])
    expected = Lists(np.array([["a", "b"]]), scores, np.zeros(1))
    found = Lists(np.array([["b", "a"]]), scores, np.zeros(1))
    assert [each.holds for each in differences("x", expected, found)] == [True, True, False]
