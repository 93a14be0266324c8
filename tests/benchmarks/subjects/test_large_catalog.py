"""The table of a large catalog, made from a trained one."""

import numpy as np

from benchmarks.subjects.large_catalog import enlarged_table


def vectors(num_items: int = 40) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(3).normal(size=(num_items, 6)).astype(np.float32)


def test_the_trained_items_stay_the_first_ones() -> None:
    table = enlarged_table(vectors(), 500)
    assert table.shape == (500, 6)
    assert np.array_equal(table[:40], vectors())
    assert np.array_equal(enlarged_table(vectors(), 30), vectors()[:30])


def test_a_further_item_is_a_trained_one_moved_by_half_the_way_between_two_of_its_nearest() -> None:
    table = enlarged_table(vectors(), 60)
    trained = vectors().astype(np.float64)
    moves = (trained[:, None] - trained[None]) / 2
    for made in table[40:].astype(np.float64):
        differences = np.linalg.norm(trained[:, None, None] + moves[None] - made, axis=-1)
        parent, one, other = np.unravel_index(differences.argmin(), differences.shape)
        nearest = np.argsort(-(trained @ trained[parent]), kind="stable")[1:11]
        assert differences.min() < 1e-5
        assert one == other or {one, other} <= set(nearest)
