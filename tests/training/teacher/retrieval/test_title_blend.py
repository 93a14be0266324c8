"""A matcher's distances blended with distances between titles."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset
from training.evaluation.baselines.title_neighbours import TitleNeighbours
from training.settings.teacher import TeacherConfig
from training.teacher.retrieval.title_blend import best_share, blended, with_titles
from training.teacher.top_k import Distances

# Of the tiny dataset ann wants d after a, b and c; the title of c points where d points.
EMBEDDINGS = np.array([[0, 0], [-4, -2], [0, 2], [1, 1], [1, 1], [2, -2]], dtype=np.float32)


def test_a_share_of_a_quarter_weighs_squared_title_distances_by_a_quarter() -> None:
    matched, of_titles = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 1.0]])
    torch.testing.assert_close(blended(matched, of_titles, 0.25), torch.tensor([[1.75**0.5, 0.5]]))


def test_the_blend_is_the_distance_of_concatenated_unit_vectors() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(4, 3), dim=-1)
    query, item, query_title, item_title = vectors
    long_query, long_item = (
        torch.cat([0.7**0.5 * matched, 0.3**0.5 * title])
        for matched, title in ((query, query_title), (item, item_title))
    )
    blend = blended(torch.dist(query, item), torch.dist(query_title, item_title), 0.3)
    torch.testing.assert_close(blend, torch.dist(long_query, long_item))


SHARES = TeacherConfig(title_shares=(0.0, 0.5))


def wrong_about_d(rows: NDArray[np.int64]) -> Tensor:
    """Distance 1 of item e, the nearest, and 1.5 of all others, for every history."""
    return torch.tensor([1.5, 1.5, 1.5, 1.5, 1.5, 1.0]).expand(len(rows), -1)


def right_about_d(rows: NDArray[np.int64]) -> Tensor:
    return torch.tensor([1.5, 1.5, 1.5, 1.5, 1.0, 1.5]).expand(len(rows), -1)


@pytest.mark.parametrize(("matched", "best"), [(wrong_about_d, 0.5), (right_about_d, 0.0)])
def test_validation_picks_the_share_of_titles(
    tiny_dataset: Dataset, matched: Distances, best: float
) -> None:
    neighbours = TitleNeighbours(tiny_dataset, EMBEDDINGS)
    assert best_share(matched, neighbours, tiny_dataset, SHARES) == best


def test_every_example_is_blended_with_the_titles_before_it(tiny_dataset: Dataset) -> None:
    neighbours = TitleNeighbours(tiny_dataset, EMBEDDINGS)
    rows = np.array([3, 7])  # after c of ann, after c of bob
    blend = with_titles(wrong_about_d, neighbours, 0.5)(rows)
    of_titles = torch.from_numpy(neighbours.distances_before(rows))
    torch.testing.assert_close(blend, (0.5 * wrong_about_d(rows) ** 2 + 0.5 * of_titles**2).sqrt())
    assert with_titles(wrong_about_d, neighbours, 0.0) is wrong_about_d
