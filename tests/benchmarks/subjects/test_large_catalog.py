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


def test_a_further_item_is_a_trained_one_moved_along_the_way_between_two_of_its_nearest() -> None:
    table = enlarged_table(vectors(), 60)
    trained = vectors().astype(np.float64)
    nearest = np.argsort(-(trained @ trained.T), axis=1, kind="stable")[:, 1:11]
    ways = trained[:, None] - trained[None]  # [one, other, hidden]
    lengths = np.maximum((ways**2).sum(axis=-1), 1e-9)
    for made in table[40:].astype(np.float64):
        moves = made - trained
        shares = np.clip(np.einsum("ph,abh->pab", moves, ways) / lengths, 0, 1)
        rests = moves[:, None, None] - shares[..., None] * ways
        distances = np.linalg.norm(rests, axis=-1)
        found = np.argwhere(distances < 1e-5)
        assert any(
            one == other or {one, other} <= set(nearest[parent]) for parent, one, other in found
        )


def test_few_further_items_have_the_vector_of_another_one() -> None:
    # Only where both neighbours are the same item, a tenth of the time, it is its trained one's.
    made = enlarged_table(vectors(), 1_040)[40:]
    assert len(np.unique(made, axis=0)) > 800
