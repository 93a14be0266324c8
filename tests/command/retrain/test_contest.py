"""The contest publishes, refuses or says that it cannot tell, by the interval of the gain."""

import pytest

from distilled_recommender.retrain.contest import decide
from training.evaluation.intervals import Interval
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
