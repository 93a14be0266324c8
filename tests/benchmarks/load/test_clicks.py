from itertools import islice

import numpy as np

from benchmarks.load.clicks import (
    Click,
    clicks_of,
    interleaved,
    power_law,
    power_law_sessions,
    predecessors_of,
)


def test_a_power_law_falls_as_its_exponent_says() -> None:
    numbers = power_law(2.0, 50, 200_000, np.random.default_rng(0))
    ones, twos = (numbers == 1).sum(), (numbers == 2).sum()
    assert abs(ones / twos - 4) < 0.15
    assert numbers.min() == 1
    assert numbers.max() <= 50


def test_popular_items_are_clicked_most() -> None:
    generator = np.random.default_rng(0)
    sessions = islice(
        power_law_sessions([f"item-{place}" for place in range(100)], generator), 3000
    )
    items = [item for session in sessions for item in session]
    assert items.count("item-0") > 2 * items.count("item-1") > items.count("item-9") > 0


def test_interleaving_keeps_each_session_whole_and_in_order() -> None:
    sessions = [["a", "b", "c"], ["d"], ["e", "f"], ["g"]]
    clicks = list(interleaved(iter(sessions), np.random.default_rng(0), open_sessions=2))
    of_first = [click.item_id for click in clicks if click.session_id == "visit-0"]
    assert of_first == ["a", "b", "c"][: len(of_first)]
    assert {click.session_id for click in clicks[:1]} <= {"visit-0", "visit-1"}
    assert len(clicks) >= 5


def test_a_click_follows_the_one_before_it_of_the_same_session() -> None:
    clicks = [Click(session, "item") for session in "abacba"]
    assert predecessors_of(clicks) == [-1, -1, 0, -1, 1, 2]


def test_clicks_of_existing_sessions_are_in_no_other_session() -> None:
    clicks = clicks_of(["r0", "r1"], ["x", "y"], 50, np.random.default_rng(0))
    assert len(clicks) == 50
    assert {click.session_id for click in clicks} == {"r0", "r1"}
    assert {click.item_id for click in clicks} <= {"x", "y"}
