"""The verdict: which baselines a student beats in NDCG@20 on the test examples, and by how much.

The functions take plain data, so any ranker can be judged: a torch student in `evaluate`, the
served bundle in the export. For each ranker that is an array of ranks, `[examples]`: the place
from 1 of the next item in the ranker's list, 0 where it is absent (`Evaluation.ranks`). All arrays
are about the same examples in the same order.

    users = dataset.user_of_row[rows]
    differences = differences_to(student_ranks, {"popularity": ranks, ...}, users, num_draws=2_000)
    sentence = verdict("SASRec DLLM2Rec (seed 1)", differences, num_examples=len(rows))
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.evaluation.intervals import Bootstrap, Draws, Interval
from training.evaluation.metrics import metric_values
from training.evaluation.yardstick import SELECTION_METRIC

METRIC = SELECTION_METRIC
Ranks = NDArray[np.integer]


def differences_to(
    student: Ranks,
    baselines: Mapping[str, Ranks],
    users: NDArray[np.integer],
    *,
    num_draws: int,
    metric: str = METRIC,
) -> dict[str, Interval]:
    """The metric of the student minus that of each baseline, with a 95 % interval, by baseline.

    The bootstrap is paired: a draw holds the same users for the student and for the baseline.

    Args:
        student: `[examples]`, ranks of the next items.
        baselines: `[examples]` each, by name.
        users: `[examples]`, the user of each example. Examples of one user are drawn together.
        num_draws: of the bootstrap.
        metric: as `NDCG@20`.

    Raises:
        ValueError: the arrays are not about the same number of examples.
    """
    bootstrap = Bootstrap(users, num_draws)
    of_student = _draws(student, bootstrap, metric)
    return {
        name: of_student.minus(_draws(ranks, bootstrap, metric)).interval()
        for name, ranks in baselines.items()
    }


def metric_interval(
    ranks: Ranks, users: NDArray[np.integer], metric: str, *, num_draws: int
) -> Interval:
    """The mean of a metric over examples, with a 95 % interval: a row of the manifest's figures.

    Args:
        ranks: `[examples]`, of one ranker.
        users: `[examples]`, the user of each example.
        metric: as `NDCG@20` or `HR@20`.
        num_draws: of the bootstrap.
    """
    return _draws(ranks, Bootstrap(users, num_draws), metric).interval()


def verdict(student: str, differences: Mapping[str, Interval], num_examples: int) -> str:
    """One sentence that says which baselines the student is above, below, and neither.

    Args:
        student: its name, with the seed where one student of several is meant.
        differences: student minus baseline, by baseline; see `differences_to`.
        num_examples: of the test, on which all were measured.
    """
    examples = f"On {num_examples:,} test examples"
    if not differences:
        return f"{examples}, {student} was compared with no baseline."
    clauses = [
        f"{relation} {_listed(baselines)}"
        for relation, baselines in (
            ("above", _above(differences)),
            ("below", _below(differences)),
            ("not shown to differ from", _undecided(differences)),
        )
        if baselines
    ]
    return (
        f"{examples}, the {METRIC} of {student} is {_listed(clauses, ', and ')}; "
        "brackets hold 95 % intervals."
    )


def _above(differences: Mapping[str, Interval]) -> list[str]:
    return [
        f"{name} by {each.mean:.4f} [{each.low:.4f}, {each.high:.4f}]"
        for name, each in differences.items()
        if each.low > 0
    ]


def _below(differences: Mapping[str, Interval]) -> list[str]:
    """Losses as positive numbers, since the sentence says `below`."""
    return [
        f"{name} by {-each.mean:.4f} [{-each.high:.4f}, {-each.low:.4f}]"
        for name, each in differences.items()
        if each.high < 0
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
            f"ranks of shape {ranks.shape} for {len(bootstrap.user_of_example)} examples; "
            "give one rank an example"
        )
    every_example = np.ones(len(ranks), dtype=np.bool_)
    return bootstrap.draws(metric_values(ranks, metric)[None], every_example)


def _listed(phrases: Sequence[str], last_joint: str = " and ") -> str:
    """Phrases as in prose: `a`, `a and b`, `a, b and c`."""
    *first, last = phrases
    return f"{', '.join(first)}{last_joint}{last}" if first else last
