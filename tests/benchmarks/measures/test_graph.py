import numpy as np
import pytest

from benchmarks.measures import graph
from benchmarks.measures.graph import (
    HISTORIES_PER_ROUND,
    HISTORIES_PER_TURN,
    LENGTHS,
    NAIVE,
    SHIPPED,
    draw_histories,
    figures,
    is_same_ranking,
    time_in_turns,
)
from service.ranking.types import Ranking

RANKING = [(7, 2.0), (3, 1.0), (5, 0.5)]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ([(7, 2.0), (3, 1.0), (5, 0.5)], True),
        ([(7, 2.0), (3, 1.0), (9, 0.5 + 5e-7)], True),  # a tie at the last place
        ([(7, 2.0), (5, 1.1), (3, 1.0)], False),
        ([(7, 2.0), (3, 1.0), (9, 0.6)], False),
    ],
)
def test_rankings_are_the_same_but_for_items_of_equal_scores(
    other: list[tuple[int, float]], *, same: bool
) -> None:
    assert is_same_ranking(RANKING, other) is same


def test_items_of_timed_histories_are_drawn_by_popularity_and_none_twice() -> None:
    popularity = [90, 9, 1, 0]
    drawn = draw_histories(popularity, 2, 1_000, np.random.default_rng(0))
    assert all(len(set(each)) == 2 for each in drawn)
    first = [sum(each[0] == index for each in drawn) for index in (1, 2, 3, 4)]
    assert first[0] > 850
    assert 50 < first[1] < 130
    assert 0 < first[2] < 30
    assert first[3] == 0


def test_many_histories_of_a_length_are_timed_and_a_seed_draws_them() -> None:
    one, same = (
        draw_histories([5, 3, 1], 2, HISTORIES_PER_ROUND, np.random.default_rng(7))
        for _ in range(2)
    )
    assert one == same
    assert len(one) >= 200


class Clock:
    """A replacement for `time` that returns `now`, in CPU seconds."""

    now = 0.0

    def process_time(self) -> float:
        return self.now


def test_both_graphs_rank_the_same_histories_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(graph, "time", clock)
    ranked: list[tuple[str, int]] = []

    def rank(name: str, seconds: float, history: list[int]) -> Ranking:
        clock.now += seconds
        ranked.append((name, history[0]))
        return []

    histories = [[number] for number in range(2 * HISTORIES_PER_TURN)]
    costs = time_in_turns(
        {
            SHIPPED: lambda history: rank(SHIPPED, 0.001, history),
            NAIVE: lambda history: rank(NAIVE, 0.004, history),
        },
        histories,
    )

    first, second = range(HISTORIES_PER_TURN), range(HISTORIES_PER_TURN, 2 * HISTORIES_PER_TURN)
    turns = [(SHIPPED, first), (NAIVE, first), (NAIVE, second), (SHIPPED, second)]
    assert ranked == [(name, number) for name, turn in turns for number in turn]
    assert costs == {SHIPPED: pytest.approx(1_000), NAIVE: pytest.approx(4_000)}


def test_the_target_is_missed_where_the_interval_of_the_rounds_ends_above_it() -> None:
    ratios = [0.44, 0.45, 0.46, 0.47, 0.49, 0.55, 0.56, 0.57, 0.58]
    costs = [
        {(length, name): cost for length in LENGTHS for name, cost in ((SHIPPED, each), (NAIVE, 1))}
        for each in ratios
    ]
    by_name = {each.name: each for each in figures(costs)}
    ratio = by_name["shipped over naive, 50 items"]
    assert ratio.runs == tuple(ratios)
    assert ratio.holds
    assert by_name["shipped over naive, 50 items, lower end of the interval"].value < 0.49
    assert by_name["shipped over naive, 50 items, upper end of the interval"].holds is False
