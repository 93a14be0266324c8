"""Axes in which few coordinates carry most of a score, and blocks of similar items."""

import numpy as np

from export.graphs.blocks.order import axes_of, block_order


def test_products_of_turned_vectors_are_those_of_the_vectors() -> None:
    generator = np.random.default_rng(0)
    vectors, queries = generator.normal(size=(500, 8)), generator.normal(size=(90, 8))
    axes = axes_of(vectors, queries)
    turned = (queries @ axes.of_queries) @ (vectors @ axes.of_items).T
    assert np.allclose(turned, queries @ vectors.T)


def test_the_first_coordinate_is_the_one_in_which_queries_and_items_meet() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(5_000, 3)) * [1, 1, 2]  # items differ most in the third
    queries = generator.normal(size=(5_000, 3)) * [5, 0.1, 0.1]  # of which no query asks
    axes = axes_of(vectors, queries)
    first = np.abs(axes.of_items[:, 0])
    assert first.argmax() == 0
    assert axes.weights[0] > axes.weights[1] >= axes.weights[2]


def test_equal_vectors_have_axes_too() -> None:
    axes = axes_of(np.zeros((10, 4)), np.ones((5, 4)))
    assert np.isfinite(axes.of_items).all()
    assert np.isfinite(axes.of_queries).all()


def test_every_block_holds_neighbours() -> None:
    shuffled = np.random.default_rng(0).permutation(64)
    line = shuffled[:, None].astype(np.float64)
    blocks = shuffled[block_order(line, 8)].reshape(8, 8)
    assert sorted(sorted(each) for each in blocks.tolist()) == np.arange(64).reshape(8, 8).tolist()


def test_an_order_has_every_item_once_where_the_last_block_is_not_full() -> None:
    for number in (0, 1, 7, 8, 9, 77):
        coordinates = np.random.default_rng(number).normal(size=(number, 3))
        assert sorted(block_order(coordinates, 8).tolist()) == list(range(number))
