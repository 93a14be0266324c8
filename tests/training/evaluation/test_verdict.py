"""The verdict on a student, computed by hand from a few ranks."""

import math

import numpy as np
import pytest

from training.evaluation.intervals import Interval
from training.evaluation.verdict import (
    TeacherEffect,
    best_baseline,
    differences_to,
    effect_of_teacher,
    verdict,
    without_teacher,
)

ABOVE = Interval(0.012, 0.008, 0.016)
BELOW = Interval(-0.02, -0.03, -0.01)
UNDECIDED = Interval(0.001, -0.003, 0.005)
STUDENT = "SASRec DLLM2Rec (seed 1)"
USERS = np.array([1, 2, 3, 4])
FIRST, SECOND, ABSENT = np.array([1, 1, 1, 1]), np.array([3, 3, 3, 3]), np.array([0, 0, 0, 0])


def few(mean: float, low: float, high: float) -> Interval:
    """An interval of the four `USERS`, or of fewer."""
    return Interval(mean, low, high, has_few_users=True)


def sentence(**differences: Interval) -> str:
    return verdict(STUDENT, differences, num_examples=1_234)


def test_a_difference_is_the_students_ndcg_minus_the_baselines() -> None:
    # Rank 3 is an NDCG@20 of 1 / log2(4) = 0.5, for every user: the interval has no width.
    differences = differences_to(SECOND, {"a": ABSENT, "b": FIRST}, USERS, num_draws=100)

    assert differences == {"a": few(0.5, 0.5, 0.5), "b": few(-0.5, -0.5, -0.5)}


def test_examples_are_paired_in_each_draw() -> None:
    """Users differ much, but the student is one place ahead for each user that has a rank."""
    student, baseline = np.array([1, 0, 1, 0]), np.array([2, 0, 2, 0])
    difference = differences_to(student, {"a": baseline}, USERS, num_draws=2_000)["a"]

    a_place = 1 - 1 / math.log2(3)
    # A draw of four users has k of the two ranked ones: k / 4 places.
    assert difference.mean == pytest.approx(a_place / 2)
    assert difference.low == pytest.approx(0)  # one draw in 16 has neither
    assert difference.high == pytest.approx(a_place)


def test_examples_of_one_user_are_drawn_together() -> None:
    """With one user every draw is the same, whatever the user's examples differ by."""
    student, baseline = np.array([1, 0, 1, 0]), np.array([0, 1, 0, 0])
    one_user = np.array([7, 7, 7, 7])
    difference = differences_to(student, {"a": baseline}, one_user, num_draws=100)["a"]

    assert difference == few(0.25, 0.25, 0.25)


def test_ranks_of_other_examples_are_refused() -> None:
    with pytest.raises(ValueError, match=r"ranks of shape \(3,\) for 4 examples"):
        differences_to(FIRST, {"a": FIRST[:3]}, USERS, num_draws=100)


def test_a_verdict_names_the_baselines_above_and_those_not_shown() -> None:
    text = sentence(popularity=ABOVE, **{"VMIS-kNN": UNDECIDED})

    assert text == (
        "On 1,234 test examples, the NDCG@20 of SASRec DLLM2Rec (seed 1) is "
        "above popularity by 0.0120 [0.0080, 0.0160], and "
        "not shown to differ from VMIS-kNN (+0.0010 [-0.0030, +0.0050]); "
        "brackets hold 95 % intervals."
    )


def test_what_the_teacher_adds_is_told_after_the_baselines() -> None:
    plain, a_place = without_teacher(seed=2), 1 - 1 / math.log2(3)
    # Ranks 1 and 2 for each of twenty users: the interval has no width.
    first, users = np.ones(20, dtype=np.int64), np.arange(20)
    gain = differences_to(first, {"a": 0 * first, plain: first + 1}, users, num_draws=100)

    assert gain[plain].mean == pytest.approx(a_place)
    text = sentence(**gain)
    assert " is above a by 1.0000 [1.0000, 1.0000] and the same student without a teacher" in text
    assert " without a teacher (seed 2) by 0.3691 [0.3691, 0.3691]; brackets" in text
    assert f" is below {plain} by 0.0200 [0.0100, 0.0300];" in sentence(**{plain: BELOW})
    assert f" is not shown to differ from {plain} (" in sentence(**{plain: UNDECIDED})


def test_few_users_show_nothing_and_the_verdict_says_so() -> None:
    plain = without_teacher(seed=2)
    gain = differences_to(FIRST, {plain: FIRST + 1}, USERS, num_draws=100)

    text = sentence(**gain)

    assert f" is not shown to differ from {plain} (+0.3691 [+0.3691, +0.3691]); " in text
    assert "intervals, which show nothing for fewer than 20 users." in text
    assert "fewer than" not in sentence(a=ABOVE)


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (ABOVE, "the teacher helped (+0.0120 [+0.0080, +0.0160])."),
        (BELOW, "the teacher did harm (-0.0200 [-0.0300, -0.0100])."),
        (UNDECIDED, "that the teacher helped is not shown (+0.0010 [-0.0030, +0.0050])."),
    ],
)
def test_the_last_sentence_says_whether_the_teacher_helped_over_all_seeds(
    difference: Interval, said: str
) -> None:
    text = verdict("it", {"popularity": ABOVE}, 9, effect=TeacherEffect(difference, 3))
    assert text.endswith(f"; brackets hold 95 % intervals. Over 3 seeds, {said}")


def test_one_seed_does_not_show_whether_the_teacher_helped() -> None:
    text = verdict("it", {"popularity": ABOVE}, 9, effect=TeacherEffect(ABOVE, 1))
    assert text.endswith(". One seed does not show whether the teacher helped.")


def test_seeds_that_disagree_do_not_show_that_the_teacher_helped() -> None:
    """Each user is alike, so the interval is that of the paired t-test over two seeds."""
    first, users = np.ones(20, dtype=np.int64), np.arange(20)
    without = [0 * first, first + 1]  # gains of 1 and 1 - 1 / log2(3) = 0.3691

    effect = effect_of_teacher([first, first], without, users, num_draws=20_000)

    assert effect.num_seeds == 2
    # Mean 0.6845, standard error 0.3155, and the 97.5 % quantile of t with one degree is 12.71.
    assert effect.difference.mean == pytest.approx(0.6845, abs=1e-4)
    assert effect.difference.low == pytest.approx(0.6845 - 12.71 * 0.3155, rel=0.1)
    assert not effect.difference.excludes_zero
    alike = effect_of_teacher([first, first], [0 * first] * 2, users, num_draws=100).difference
    assert (alike.mean, alike.low, alike.high) == pytest.approx((1, 1, 1))


def test_three_baselines_on_one_side_are_listed() -> None:
    text = sentence(a=ABOVE, b=ABOVE, c=ABOVE)

    each = "by 0.0120 [0.0080, 0.0160]"
    assert f" is above a {each}, b {each} and c {each}; brackets" in text


def test_a_loss_is_a_positive_amount_below() -> None:
    assert " is below a by 0.0200 [0.0100, 0.0300]; brackets" in sentence(a=BELOW)


def test_all_three_outcomes_fit_into_one_sentence() -> None:
    text = sentence(a=ABOVE, b=BELOW, c=UNDECIDED)

    assert (
        "is above a by 0.0120 [0.0080, 0.0160], below b by 0.0200 [0.0100, 0.0300], and "
        "not shown to differ from c (+0.0010 [-0.0030, +0.0050]);"
    ) in text


def test_without_baselines_the_verdict_says_so() -> None:
    assert sentence() == f"On 1,234 test examples, {STUDENT} was compared with no baseline."


@pytest.mark.parametrize("edge", [Interval(0.1, 0.0, 0.2), Interval(-0.1, -0.2, 0.0)])
def test_an_interval_that_touches_zero_shows_no_difference(edge: Interval) -> None:
    assert " is not shown to differ from a (" in sentence(a=edge)


def test_the_best_baseline_by_validation_is_named() -> None:
    best = best_baseline({"a": ABSENT, "b": SECOND, "c": SECOND})

    assert best == "b"
    text = verdict(STUDENT, {"a": ABOVE, "b": UNDECIDED}, num_examples=4, best=best)
    assert text.endswith("brackets hold 95 % intervals. Of the baselines, validation prefers b.")
