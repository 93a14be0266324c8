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
    ("scores_of_ba", "values"),
    [
        ([2.0, 2.0], [0, 1, 0]),  # a tie in the other order
        ([2.5, 2.0], [1, 0, 0.5]),
    ],
)
def test_lists_are_compared_by_item(scores_of_ba: list[float], values: list[float]) -> None:
    expected = Lists(np.array([["a", "b"]]), np.array([[2.0, 2.0]]), np.zeros(1))
    found = Lists(np.array([["b", "a"]]), np.array([scores_of_ba]), np.zeros(1))
    assert [each.value for each in differences("x", expected, found)] == values


def test_wrong_items_under_the_right_scores_are_told() -> None:
    scores = np.array([[2.0, 1.0]])
    expected = Lists(np.array([["a", "b"]]), scores, np.zeros(1))
    found = Lists(np.array([["b", "a"]]), scores, np.zeros(1))
    assert [each.holds for each in differences("x", expected, found)] == [False, True, False]
