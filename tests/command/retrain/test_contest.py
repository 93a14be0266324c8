"""The contest publishes, refuses or says that it cannot tell, by the interval of the gain."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from distilled_recommender.retrain.contest import at_look, decide, level_of
from training.evaluation.intervals import Draws, Interval
from training.settings.retrain import RetrainConfig


@pytest.mark.parametrize(
    ("interval", "decision", "reason"),
    [
        ((0.05, 0.01, 0.09), "published", "+5.0% [+1.0%, +9.0%] on 700 examples"),
        ((0.00, -0.019, 0.02), "published", "the lower end is above -2.0%"),
        ((-0.001, -0.02, 0.01), "undecided", "too few to rule out a loss of more than 2.0%"),
        ((-0.10, -0.20, -0.01), "worse", "worse than the champion"),
        ((-0.01, -0.015, -0.005), "published", "the lower end is above -2.0%"),
    ],
)
def test_the_lower_end_of_the_interval_decides(
    interval: tuple[float, float, float], decision: str, reason: str
) -> None:
    outcome = decide(Interval(*interval), 700, RetrainConfig())

    assert outcome.decision == decision
    assert reason in outcome.reason


def test_a_stricter_margin_publishes_gains_only() -> None:
    gain = Interval(0.01, -0.001, 0.02)

    assert decide(gain, 700, RetrainConfig(margin=0)).decision == "undecided"


@pytest.mark.parametrize(
    ("challenger", "decision", "reason"),
    [
        (0.5, "published", "NDCG@20 0 of the champion, and more of the challenger, on 700"),
        (0.0, "undecided", "NDCG@20 0 of champion and challenger on 700 examples"),
    ],
)
def test_a_champion_without_a_hit_is_replaced_by_a_challenger_with_one(
    challenger: float, decision: str, reason: str
) -> None:
    champion = Draws(0.0, np.zeros(200))
    gain = Draws(challenger, np.full(200, challenger)).relative_to(champion).interval()

    outcome = decide(at_look(gain, 1), 700, RetrainConfig())

    assert outcome.decision == decision
    assert outcome.reason.startswith(reason)


def test_few_users_decide_nothing() -> None:
    gain = at_look(Interval(0.5, 0.4, 0.6, has_few_users=True), 2)

    outcome = decide(gain, 12, RetrainConfig())

    assert outcome.decision == "undecided"
    assert outcome.reason.endswith("of fewer than 20 users: too few")


@pytest.mark.parametrize(
    ("look", "level", "half_width"),
    [
        (1, 0.96960, 2.16489),  # 1 - 0.05 * 6 / pi ** 2
        (2, 0.99240, 2.66938),
        (30, 0.9999662, 4.14640),
    ],
)
def test_the_interval_of_each_further_look_at_a_champion_is_wider(
    look: int, level: float, half_width: float
) -> None:
    plain = Interval(0.5, 0.5 - 1.959964, 0.5 + 1.959964)

    stretched = at_look(plain, look)

    assert level_of(look) == pytest.approx(level, abs=5e-6)
    assert stretched.mean == 0.5
    assert stretched.low == pytest.approx(0.5 - half_width, abs=1e-5)
    assert stretched.high == pytest.approx(0.5 + half_width, abs=1e-5)


def test_all_looks_together_err_with_five_percent_at_most() -> None:
    errors = [1 - level_of(look) for look in range(1, 10_000)]

    assert 0.0499 < sum(errors) < 0.05


def test_looking_each_night_at_a_growing_slice_seldom_publishes_a_student_at_the_margin() -> None:
    random = np.random.default_rng(0)
    nights = np.arange(1, 31)
    gains = random.standard_normal((200, 30)).cumsum(axis=1) / nights - 0.02
    half_widths = 1.959964 / np.sqrt(nights)

    fixed, spent = (
        np.mean([any(_published(gains[one], half_widths, looks)) for one in range(200)])
        for looks in (np.ones(30, int), nights)
    )

    assert fixed > 0.05  # even at the level of a first look
    assert spent <= 0.025


def _published(
    gains: NDArray[np.float64], half_widths: NDArray[np.float64], looks: NDArray[np.int64]
) -> Iterator[bool]:
    for gain, half, look in zip(gains, half_widths, looks, strict=True):
        interval = at_look(Interval(gain, gain - half, gain + half), int(look))
        yield decide(interval, 700, RetrainConfig()).decision == "published"
