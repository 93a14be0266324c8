import math

import numpy as np

from training.evaluation.metrics import NOT_RANKED, hit_rates, metric_values, ndcgs, ranks_of


def test_a_rank_is_the_place_from_one_and_absence_is_marked() -> None:
    rankings = np.array([[7, 8, 9], [9, 8, 7], [1, 2, 3]])

    assert ranks_of(np.array([7, 7, 7]), rankings).tolist() == [1, 3, NOT_RANKED]


def test_a_hit_is_a_rank_within_the_cutoff() -> None:
    assert hit_rates(np.array([1, 5, 6, NOT_RANKED]), k=5).tolist() == [1, 1, 0, 0]


def test_ndcg_discounts_by_the_logarithm_of_the_rank() -> None:
    gains = ndcgs(np.array([1, 2, 3, 4, NOT_RANKED]), k=3)

    assert gains.tolist() == [1, 1 / math.log2(3), 0.5, 0, 0]


def test_a_metric_is_named_with_its_cutoff() -> None:
    ranks = np.array([[1, 3], [11, NOT_RANKED]])

    assert metric_values(ranks, "HR@10").tolist() == [[1, 1], [0, 0]]
    assert metric_values(ranks, "NDCG@3").tolist() == [[1, 0.5], [0, 0]]
