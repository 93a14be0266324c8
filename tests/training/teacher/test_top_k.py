import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset
from training.evaluation import yardstick
from training.teacher.llm.states import States
from training.teacher.matcher import Matcher, matcher_distances
from training.teacher.top_k import answer


@pytest.fixture
def matcher(tiny_dataset: Dataset) -> Matcher:
    torch.manual_seed(1)
    return Matcher(
        torch.randn(9, 4), torch.randn(tiny_dataset.catalog.num_rows, 4), size=3, dropout=0.5
    ).eval()


@pytest.fixture
def read() -> States:
    """Rows 3 (ann, who saw a b c) and 10 (cay, who saw a d)."""
    states = np.random.default_rng(2).standard_normal((2, 4)).astype(np.float16)
    return States(np.array([3, 10]), states)


def test_only_unseen_items_are_answered_and_short_lists_end_in_padding(
    matcher: Matcher, tiny_dataset: Dataset, read: States
) -> None:
    answers = answer(matcher_distances(matcher, read), tiny_dataset, read.rows, list_length=3)
    assert set(answers.rankings[0]) == {4, 5, 0}  # d, e and an empty place
    assert answers.rankings[0, 2] == 0
    assert set(answers.rankings[1]) == {2, 3, 5}


def test_items_are_answered_nearest_first_with_their_distances(
    matcher: Matcher, tiny_dataset: Dataset, read: States
) -> None:
    answers = answer(matcher_distances(matcher, read), tiny_dataset, read.rows, list_length=3)
    with torch.inference_mode():
        distances = matcher.distances(torch.from_numpy(read.states).float(), matcher.items())
    expected = sorted(float(distances[1, item]) for item in (2, 3, 5))
    np.testing.assert_allclose(answers.distances[1], expected, atol=1e-6)
    for item, distance in zip(answers.rankings[1], answers.distances[1], strict=True):
        assert distance == pytest.approx(float(distances[1, item]))


def test_the_true_next_item_has_its_distance_though_it_may_not_be_listed(
    matcher: Matcher, tiny_dataset: Dataset, read: States
) -> None:
    answers = answer(matcher_distances(matcher, read), tiny_dataset, read.rows, list_length=1)
    with torch.inference_mode():
        distances = matcher.distances(torch.from_numpy(read.states).float(), matcher.items())
    expected = [float(distances[0, 4]), float(distances[1, 3])]  # d follows a b c, c follows a d
    np.testing.assert_allclose(answers.next_item_distances, expected, atol=1e-6)


def test_fewer_examples_are_answered_at_once_when_the_catalog_is_large(
    matcher: Matcher, tiny_dataset: Dataset, read: States, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6 catalog rows: one example has 6 scores, two have 12."""
    distances = matcher_distances(matcher, read)
    sizes = []

    def noted(rows: NDArray[np.int64]) -> Tensor:
        sizes.append(len(rows))
        return distances(rows)

    whole = answer(noted, tiny_dataset, read.rows, list_length=3)
    monkeypatch.setattr(yardstick, "MAX_SCORES", 11)
    parts = answer(noted, tiny_dataset, read.rows, list_length=3)

    assert sizes == [2, 1, 1]
    assert np.array_equal(parts.rankings, whole.rankings)
