import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from training.errors import KnowledgeError
from training.teacher.matcher import Matcher, Standardise, load_matcher, save_matcher


def matcher_of_fixed_vectors(query: list[float], items: list[list[float]]) -> Matcher:
    """Makes a matcher whose projections return given vectors for any input."""

    class Fixed(torch.nn.Module):
        def __init__(self, vectors: list[list[float]]) -> None:
            super().__init__()
            self.vectors = torch.tensor(vectors)

        def forward(self, _: Tensor) -> Tensor:
            return self.vectors

    sample = torch.randn(4, 3)
    matcher = Matcher(sample, sample, size=2, dropout=0.0)
    matcher.query_projection = torch.nn.Sequential(Fixed([query]))
    matcher.title_projection = torch.nn.Sequential(Fixed(items))
    return matcher


def test_distances_are_euclidean_between_unit_vectors() -> None:
    items = [[0.0, 1.0], [5.0, 0.0], [0.0, 2.0], [-1.0, 0.0]]
    matcher = matcher_of_fixed_vectors([3.0, 0.0], items)
    distances = matcher.distances(torch.zeros(1, 3), matcher.items())
    # the query points along the first axis: same direction 0, right angle sqrt 2, opposite 2
    torch.testing.assert_close(distances, torch.tensor([[math.sqrt(2), 0.0, math.sqrt(2), 2.0]]))


def test_the_loss_is_full_softmax_over_the_items_without_padding() -> None:
    matcher = matcher_of_fixed_vectors([1.0, 0.0], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    torch.nn.init.constant_(matcher.log_scale, math.log(2.0))
    loss = matcher.loss(torch.zeros(1, 3), torch.tensor([2]))
    # item 1 scores 2, item 2 scores 0; padding would score 2 as well but does not count
    assert loss.item() == pytest.approx(math.log(math.exp(2) + 1))


def test_standardised_dimensions_have_zero_mean_and_unit_spread() -> None:
    vectors = torch.tensor([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
    expected = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    torch.testing.assert_close(Standardise(vectors)(vectors), expected)


def test_a_single_vector_has_a_finite_standard_form() -> None:
    vector = torch.tensor([[2.0, 5.0]])
    assert Standardise(vector)(vector).tolist() == [[0.0, 0.0]]
    assert Standardise(vector)(vector + 1).isfinite().all()


def test_a_saved_matcher_answers_as_the_one_that_was_fitted(tmp_path: Path) -> None:
    torch.manual_seed(0)
    titles, states = torch.randn(6, 8), torch.randn(5, 8)
    matcher = Matcher(states, titles, size=4, dropout=0.5).eval()
    save_matcher(matcher, tmp_path)
    loaded = load_matcher(tmp_path, titles)
    torch.testing.assert_close(loaded.queries(states), matcher.queries(states), atol=1e-2, rtol=0)
    torch.testing.assert_close(loaded.items(), matcher.items(), atol=1e-2, rtol=0)


def test_a_missing_matcher_is_refused_by_path(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match=r"matcher\.safetensors: missing"):
        load_matcher(tmp_path, torch.randn(6, 8))
