"""Computes the verdict: which baselines a student beats in test NDCG@20, and by how much.

The functions take arrays of ranks, so they can compare any rankers: torch students in `evaluate`,
the served bundle in the export. An array holds the rank of each example's next item, `[examples]`,
from 1; 0 if the next item is not in the list (`Evaluation.ranks`). All arrays refer to the same
examples in the same order.

    users = dataset.user_of_row[rows]
    differences = differences_to(student_ranks, {"popularity": ranks, ...}, users, num_draws=2_000)
    sentence = verdict("SASRec DLLM2Rec (seed 1)", differences, num_examples=len(rows))
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.evaluation.intervals import FEWEST_USERS, Bootstrap, Draws, Interval
from training.evaluation.metrics import metric_values
from training.evaluation.yardstick import SELECTION_METRIC

METRIC = SELECTION_METRIC
Ranks = NDArray[np.integer]


class TeacherEffect(NamedTuple):
    """The difference between students with and without a teacher, over several seeds.

    Attributes:
        difference: mean NDCG@20 with the teacher minus mean NDCG@20 without it.
        num_seeds: number of seeds, each of which has trained both.
    """

    difference: Interval
    num_seeds: int


def differences_to(
    student: Ranks,
    baselines: Mapping[str, Ranks],
    users: NDArray[np.integer],
    *,
    num_draws: int,
    metric: str = METRIC,
) -> dict[str, Interval]:
    """Returns the student's mean metric minus each baseline's, with a 95 % interval, by baseline.

    The bootstrap is paired: a draw holds the same users for the student and for the baseline. It
    does not vary seeds, so it compares these students, not their ways of training.

    Args:
        student: `[examples]`, the student's ranks.
        baselines: `[examples]`, the ranks of each baseline, by name.
        users: `[examples]`, the user of each example. Examples of one user are drawn together.
        num_draws: number of bootstrap draws.
        metric: name of the metric, such as `NDCG@20`.

    Raises:
        ValueError: the arrays differ in length.
    """
    bootstrap = Bootstrap(users, num_draws)
    of_student = _draws(student, bootstrap, metric)
    return {
        name: of_student.minus(_draws(ranks, bootstrap, metric)).interval()
        for name, ranks in baselines.items()
    }


def effect_of_teacher(
    taught: Sequence[Ranks],
    untaught: Sequence[Ranks],
    users: NDArray[np.integer],
    *,
    num_draws: int,
) -> TeacherEffect:
    """Returns what the teacher adds to NDCG@20, with a 95 % interval over users and seeds.

    Args:
        taught: `[examples]`, the ranks of students with the teacher, one per seed.
        untaught: `[examples]`, the ranks of students without it, of the same seeds in this order.
        users: `[examples]`, the user of each example.
        num_draws: number of bootstrap draws.
    """
    bootstrap = Bootstrap(users, num_draws)
    every_example = np.ones(len(users), dtype=np.bool_)
    with_it, without_it = (
        bootstrap.draws(np.stack([metric_values(each, METRIC) for each in ranks]), every_example)
        for ranks in (taught, untaught)
    )
    return TeacherEffect(with_it.minus(without_it).interval(), len(taught))


def best_baseline(validation: Mapping[str, Ranks]) -> str:
    """Returns the name of the baseline with the highest validation NDCG@20.

    In case of a tie, the first one is returned. Without baselines, "" is returned.

    Args:
        validation: `[examples]`, the ranks of each baseline on the validation examples, by name;
            empty for refits, which have no validation examples.
    """
    if not validation:
        return ""
    return max(validation, key=lambda name: metric_values(validation[name], METRIC).mean())


def without_teacher(seed: int) -> str:
    """Returns the name, in a verdict, of a student that learned without a teacher.

    `seed`: seed of its training.
    """
    return f"the same student without a teacher (seed {seed})"


def verdict(
    student: str,
    differences: Mapping[str, Interval],
    num_examples: int,
    best: str = "",
    effect: TeacherEffect | None = None,
) -> str:
    """Returns a sentence on the baselines that the student beats, or that beat it, in test NDCG@20.

    A baseline whose interval contains zero is named as not shown to differ. The student without a
    teacher may be among the baselines, under its name by `without_teacher`. A last sentence says
    whether the teacher helped, since two students differ by their seeds, too.

    Args:
        student: name of the student, with the seed if there are several.
        differences: NDCG@20 of the student minus that of a baseline, by name of the baseline; see
            `differences_to`.
        num_examples: number of test examples.
        best: the best baseline by validation, which a second sentence names; empty for none.
        effect: what the teacher adds over seeds; None for no sentence about it.
    """
    examples = f"On {num_examples:,} test examples"
    if not differences:
        return f"{examples}, {student} was compared with no baseline."
    preferred = f" Of the baselines, validation prefers {best}." if best else ""
    clauses = [
        f"{relation} {_listed(baselines)}"
        for relation, baselines in (
            ("above", _above(differences)),
            ("below", _below(differences)),
            ("not shown to differ from", _undecided(differences)),
        )
        if baselines
    ]
    are_few = any(each.has_few_users for each in differences.values())
    few = f", which show nothing for fewer than {FEWEST_USERS} users" if are_few else ""
    return (
        f"{examples}, the {METRIC} of {student} is {_listed(clauses, ', and ')}; "
        f"brackets hold 95 % intervals{few}.{preferred}{_of_teacher(effect)}"
    )


def _of_teacher(effect: TeacherEffect | None) -> str:
    """Returns a sentence on whether the teacher helped; "" without an effect."""
    if effect is None:
        return ""
    difference, num_seeds = effect
    if num_seeds < 2:
        return " One seed does not show whether the teacher helped."
    found = f"({difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}])"
    said = "the teacher helped" if difference.is_above_zero else "the teacher did harm"
    if not difference.excludes_zero:
        return f" Over {num_seeds} seeds, that the teacher helped is not shown {found}."
    return f" Over {num_seeds} seeds, {said} {found}."


def _above(differences: Mapping[str, Interval]) -> list[str]:
    return [
        f"{name} by {each.mean:.4f} [{each.low:.4f}, {each.high:.4f}]"
        for name, each in differences.items()
        if each.is_above_zero
    ]


def _below(differences: Mapping[str, Interval]) -> list[str]:
    """Returns a phrase on each baseline that is shown to be above the student in NDCG@20.

    A phrase has the baseline's name, and its mean minus the student's mean with the interval.
    `differences` are, by baseline, the student's mean minus the baseline's.
    """
    return [
        f"{name} by {-each.mean:.4f} [{-each.high:.4f}, {-each.low:.4f}]"
        for name, each in differences.items()
        if each.is_below_zero
    ]


def _undecided(differences: Mapping[str, Interval]) -> list[str]:
    return [
        f"{name} ({each.mean:+.4f} [{each.low:+.4f}, {each.high:+.4f}])"
        for name, each in differences.items()
        if not each.excludes_zero
    ]


def _draws(ranks: Ranks, bootstrap: Bootstrap, metric: str) -> Draws:
    if ranks.shape != bootstrap.user_of_example.shape:
        raise ValueError(
            f"ranks of shape {ranks.shape} for {len(bootstrap.user_of_example)} examples: one rank "
            "per example is needed"
        )
    every_example = np.ones(len(ranks), dtype=np.bool_)
    return bootstrap.draws(metric_values(ranks, metric)[None], every_example)


def _listed(phrases: Sequence[str], last_joint: str = " and ") -> str:
    """Joins phrases as in prose: `a`, `a and b`, `a, b and c`.

    `last_joint` is the text between the last two phrases.
    """
    *first, last = phrases
    return f"{', '.join(first)}{last_joint}{last}" if first else last
