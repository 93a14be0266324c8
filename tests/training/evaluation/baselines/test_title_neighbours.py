import math

import numpy as np
import pytest

from training.data.dataset import Dataset
from training.evaluation.baselines.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import ranker_of

# A regular pentagon of titles, b at 0 degrees; row 0 is padding.
DEGREES = np.radians([0, 288, 0, 72, 144, 216])
EMBEDDINGS = (7 + 3 * np.stack([np.cos(DEGREES), np.sin(DEGREES)], axis=1)).astype(np.float32)


def test_an_item_scores_by_the_angle_of_its_title_to_that_of_the_last_item(
    tiny_dataset: Dataset,
) -> None:
    scores = TitleNeighbours(tiny_dataset, EMBEDDINGS)(np.array([2]))[0]  # ann, after b

    near, far = (-2 * math.sin(math.radians(angle / 2)) for angle in (72, 144))
    assert scores[1:].tolist() == pytest.approx([near, 0, near, far, far], abs=1e-3)


def test_an_item_without_interactions_is_found_by_its_title(tiny_dataset: Dataset) -> None:
    embeddings = EMBEDDINGS.copy()
    embeddings[[3, 5]] = EMBEDDINGS[[5, 3]]  # e, which is in no training row, lies next to b

    ranking = ranker_of(TitleNeighbours(tiny_dataset, embeddings), tiny_dataset)(np.array([2]))

    assert ranking[0, 0] == 5


def test_titles_before_the_last_weigh_by_the_decay(tiny_dataset: Dataset) -> None:
    # ann has a, at -72 degrees, then b, at 0: the direction of both is -36.
    scores = TitleNeighbours(tiny_dataset, EMBEDDINGS, decay=1.0)(np.array([2]))[0]

    angles = [36, 36, 108, 180, 108]
    expected = [-2 * math.sin(math.radians(angle / 2)) for angle in angles]
    assert scores[1:].tolist() == pytest.approx(expected, abs=1e-3)


def test_of_a_long_history_the_newest_ten_titles_count(tiny_dataset: Dataset) -> None:
    neighbours = TitleNeighbours(tiny_dataset, EMBEDDINGS, decay=1.0)
    ten = np.array([1, 2] * 5)
    distances = neighbours.distances_after([ten, np.concatenate([[4], ten])])
    np.testing.assert_array_equal(distances[0], distances[1])
