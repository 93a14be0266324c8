import numpy as np
import pytest

from export.parity.histories import edge_histories, num_random_for, parts_of_items


def test_edge_histories_span_the_window_and_hold_padding_in_the_middle() -> None:
    histories = dict(edge_histories(6, 30, np.random.default_rng(0)))
    lengths = {np.count_nonzero(history) for history in histories.values()}
    assert {0, 1, 5, 6, 7, 18} == lengths
    middle = histories["length 6, padding between"]
    assert middle[3:5].tolist() == [0, 0]
    assert middle[[2, 5]].all()


@pytest.mark.parametrize("num_items", [1, 131_072, 131_073, 1_000_000, 10_000_000])
def test_every_item_is_in_one_part(num_items: int) -> None:
    counts = np.zeros(num_items + 1, dtype=np.int64)
    for part in parts_of_items(num_items):
        counts[part] += 1
    assert counts[0] == 0
    assert (counts[1:] == 1).all()


def test_a_large_catalog_has_fewer_histories_but_two_for_each_part() -> None:
    assert [num_random_for(each, 1_000) for each in (17_000, 1_000_000)] == [1_000, 268]
    assert num_random_for(10_000_000, 1_000) == 64  # two for each of 32 parts
    assert num_random_for(1_000_000_000, 1_000) == 2 * len(parts_of_items(1_000_000_000)) == 64
    assert num_random_for(10_000_000, 4) == 4
