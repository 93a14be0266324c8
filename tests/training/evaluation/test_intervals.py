import numpy as np
import pytest

from training.evaluation.intervals import Bootstrap, Draws, mean_of, percent

EVERY = np.array([True, True, True])


def test_with_two_users_a_mean_is_either_users_or_both() -> None:
    """Ann has one example of value 1, bob two of 0. A draw holds ann, both, or bob."""
    bootstrap = Bootstrap(np.array([4, 7, 7]), num_draws=4_000)

    draws = bootstrap.draws(np.array([[1.0, 0.0, 0.0]]), EVERY)

    assert draws.figure == pytest.approx(1 / 3)
    values, counts = np.unique(draws.drawn.round(6), return_counts=True)
    assert values.tolist() == pytest.approx([0, 1 / 3, 1], abs=1e-6)
    assert (counts / 4_000).tolist() == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


@pytest.mark.parametrize(
    ("runs", "half_width"),
    [
        # Student's t at 97.5 %, times the standard deviation, over the root of the number of runs.
        ([0.0, 1.0, 2.0], 4.3027 * 1 / 3**0.5),
        ([0.0, 1.0, 2.0, 3.0, 4.0], 2.7764 * 2.5**0.5 / 5**0.5),
    ],
    ids=["three seeds", "five seeds"],
)
def test_without_variation_between_users_the_interval_of_few_seeds_is_students(
    runs: list[float], half_width: float
) -> None:
    bootstrap = Bootstrap(np.arange(3), num_draws=100_000)

    interval = bootstrap.draws(np.repeat(np.array(runs)[:, None], 3, axis=1), EVERY).interval()

    assert interval.mean == np.mean(runs)
    assert interval.high - interval.mean == pytest.approx(half_width, rel=0.03)
    assert interval.mean - interval.low == pytest.approx(half_width, rel=0.03)


def test_the_interval_of_a_difference_is_that_of_the_paired_seeds() -> None:
    """The seeds differ by 10 and 20, the differences 1, 2 and 3 have a deviation of 1."""
    bootstrap = Bootstrap(np.arange(3), num_draws=100_000)
    worse = np.repeat(np.array([[0.0], [10.0], [30.0]]), 3, axis=1)
    better = worse + np.array([[1.0], [2.0], [3.0]])

    difference = bootstrap.draws(better, EVERY).minus(bootstrap.draws(worse, EVERY)).interval()

    assert difference.mean == pytest.approx(2)
    assert difference.high - 2 == pytest.approx(4.3027 / 3**0.5, rel=0.03)


def test_the_variances_of_users_and_seeds_add_up() -> None:
    """Users of values 0 and 1, in runs that differ by a constant.

    Of 100 users half have 1, so the mean has variance 1 / 400. Ten runs of deviation 0.1 have a
    mean of variance 0.01 / 10, times 9 / 7 for Student's t with 9 degrees of freedom.
    """
    runs = np.array([-1, 1] * 5) * 0.1 * 0.9**0.5  # sample deviation 0.1
    bootstrap = Bootstrap(np.arange(100), num_draws=40_000)
    values = np.tile([0.0, 1.0], 50)[None] + runs[:, None]

    draws = bootstrap.draws(values, np.ones(100, dtype=np.bool_))

    assert draws.drawn.var() == pytest.approx(1 / 400 + 0.001 * 9 / 7, rel=0.03)


def test_only_the_chosen_examples_count() -> None:
    bootstrap = Bootstrap(np.array([0, 1, 2]), num_draws=100)

    draws = bootstrap.draws(np.array([[1.0, 2.0, 50.0]]), np.array([True, True, False]))

    assert draws.figure == 1.5
    assert np.nanmax(draws.drawn) == 2


def test_a_constant_difference_has_a_narrow_interval_however_much_users_differ() -> None:
    bootstrap = Bootstrap(np.arange(3), num_draws=200)
    easy_and_hard = np.array([[0.1, 0.5, 0.9]])

    better = bootstrap.draws(easy_and_hard + 0.01, EVERY)
    worse = bootstrap.draws(easy_and_hard, EVERY)

    difference = better.minus(worse).interval()
    assert [difference.low, difference.high] == pytest.approx([0.01, 0.01])
    assert worse.interval().high - worse.interval().low > 0.3


def test_a_constant_difference_has_a_narrow_interval_however_much_seeds_differ() -> None:
    """Two compared rows have the same draws of seeds."""
    bootstrap = Bootstrap(np.arange(3), num_draws=200)
    easy_and_hard_seeds = np.array([[0.1] * 3, [0.5] * 3, [0.9] * 3])

    better = bootstrap.draws(easy_and_hard_seeds + 0.01, EVERY)
    worse = bootstrap.draws(easy_and_hard_seeds, EVERY)

    difference = better.minus(worse).interval()
    assert [difference.low, difference.high] == pytest.approx([0.01, 0.01])


def test_an_interval_is_the_middle_of_the_draws_that_have_a_figure() -> None:
    drawn = np.append(np.arange(1_001.0), np.nan)

    interval = Draws(500.0, drawn).interval()

    assert [interval.mean, interval.low, interval.high] == pytest.approx([500, 25, 975])


def test_a_relative_gain_is_taken_draw_by_draw() -> None:
    gain = Draws(3.0, np.array([3.0, 6.0])).relative_to(Draws(2.0, np.array([2.0, 3.0])))

    assert gain.figure == 0.5
    assert gain.drawn.tolist() == [0.5, 1]
    assert mean_of([gain, gain]).drawn.tolist() == [0.5, 1]


def test_a_relative_gain_over_nothing_is_undefined() -> None:
    nothing = Draws(0.0, np.zeros(2))

    for figure in (0.0, 0.5):
        gain = Draws(figure, np.full(2, figure)).relative_to(nothing)
        assert percent(gain.interval()) == "undefined"
    assert percent(Draws(0.5, np.full(2, 0.5)).interval()) == "+50.0% [+50.0%, +50.0%]"


@pytest.mark.parametrize(("num_users", "is_shown"), [(1, False), (19, False), (20, True)])
def test_a_difference_of_few_users_is_not_called_shown(num_users: int, is_shown: bool) -> None:
    """Ten examples of each user, all of them with the same difference."""
    bootstrap = Bootstrap(np.repeat(np.arange(num_users), 10), num_draws=100)
    every = np.ones(10 * num_users, dtype=np.bool_)
    better, worse = (bootstrap.draws(np.full((1, len(every)), each), every) for each in (0.5, 0.2))

    for lower, other in ((worse, better), (better, worse)):
        difference, gain = other.minus(lower).interval(), other.relative_to(lower).interval()
        assert difference.excludes_zero == gain.excludes_zero == is_shown
        assert difference.is_above_zero == (is_shown and other is better)
        assert difference.is_below_zero == (is_shown and other is worse)
    assert mean_of([better, worse]).interval().has_few_users == (not is_shown)


def test_only_users_with_a_chosen_example_are_counted() -> None:
    bootstrap = Bootstrap(np.arange(40), num_draws=100)

    few = bootstrap.draws(np.ones((1, 40)), np.arange(40) < 19)

    assert few.interval().has_few_users
