"""The rule of popular and trending items, by numbers computed by hand."""

import math

import numpy as np
import pytest

from service.popularity.growth import DAMPING, scores_of


def scores(order: str, now: list[int], before: list[int], *totals: int) -> list[float]:
    arrays = np.array(now), np.array(before)
    all_now, all_before = totals or (sum(now), sum(before))
    growth: list[float] = np.exp(
        scores_of(order, *arrays, all_now, all_before)  # type: ignore[arg-type]
    ).tolist()
    return growth


def test_popular_items_have_the_logarithm_of_one_plus_their_events() -> None:
    assert scores("popular", [0, 1, 9], [5, 5, 5]) == pytest.approx([1, 2, 10])


def test_growth_is_the_ratio_of_two_windows_damped_by_ten_events() -> None:
    """Both windows have 100 events."""
    assert DAMPING == 10
    found = scores("trending", [30, 10, 0, 60], [10, 30, 10, 50], 100, 100)
    assert found == pytest.approx([40 / 20, 20 / 40, 10 / 20, 70 / 60])


def test_few_events_do_not_beat_many() -> None:
    """Two events after one triple nothing: 12 to 11. Ninety after fifty are 100 to 60."""
    few, many = scores("trending", [2, 90], [1, 50], 200, 200)
    assert (few, many) == pytest.approx((12 / 11, 100 / 60))


@pytest.mark.parametrize(
    ("all_now", "all_before", "expected"),
    [
        (200, 100, (40 / 2 + 10) / (20 + 10)),  # twice the traffic: 40 count as 20
        (100, 200, (40 + 10) / (20 / 2 + 10)),
        (100, 0, 1.0),  # nothing is known of the time before
        (0, 100, 1.0),
    ],
)
def test_the_busier_window_is_scaled_to_the_quieter_one(
    all_now: int, all_before: int, expected: float
) -> None:
    now, before = (40 if all_now else 0), (20 if all_before else 0)
    assert scores("trending", [now], [before], all_now, all_before) == pytest.approx([expected])


def test_an_item_without_events_has_the_score_zero() -> None:
    found = scores_of("trending", np.array([0]), np.array([0]), 7, 1_000)
    assert (found.tolist(), math.log(1)) == ([0.0], 0.0)


@pytest.mark.parametrize(
    ("now", "before", "all_now", "all_before"), [(69, 22, 69, 22), (22, 69, 22, 69), (7, 3, 49, 21)]
)
def test_an_item_that_keeps_its_share_of_the_events_has_exactly_the_score_0(
    now: int, before: int, all_now: int, all_before: int
) -> None:
    arrays = np.array([now]), np.array([before])
    assert scores_of("trending", *arrays, all_now, all_before).tolist() == [0.0]
