"""Computes a manifest's metrics, figures and verdict, for the student and what it is compared with.

A figure is the mean of a metric over the examples of a split, with its 95 % interval. The student,
the baselines and the student without a teacher are measured on the same examples, with the same
bootstrap draws. The teacher is measured on the examples that it has answered.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from export.contract.manifest import PROTOCOLS, Figure
from training.data.dataset import Dataset, Split
from training.evaluation.baselines.runs import BySplit
from training.evaluation.intervals import Bootstrap, Interval
from training.evaluation.metrics import metric_values
from training.evaluation.rank_files import held_out_examples
from training.evaluation.stored import answers_ranker
from training.evaluation.verdict import best_baseline, differences_to, verdict, without_teacher
from training.evaluation.yardstick import Ranker, evaluate
from training.knowledge import Knowledge
from training.progress import ProgressBar, counting

METRICS = ("NDCG@20", "HR@20")
TARGETS = "all"
VALIDATION, REFIT = PROTOCOLS


class RowName(NamedTuple):
    """The fields of a `Figure` that identify a ranker in result tables.

    Attributes:
        row: name of the method variant, baseline or teacher.
        student: name of the student's architecture; empty if the ranker is not a student.
        teacher_free: whether the ranker was made without an LLM teacher.
        protocol: the interactions that the ranker was trained on, see `Manifest.protocol`:
            "validation" for the training split only, "refit" if held-out interactions were added.
    """

    row: str
    student: str = ""
    teacher_free: bool = True
    protocol: str = VALIDATION


@dataclass(frozen=True)
class Counterpart:
    """A student of the same kind that learned without a teacher.

    Attributes:
        name: name of the student.
        seed: seed of its training.
        ranks: its ranks on all held-out examples.
    """

    name: RowName
    seed: int
    ranks: BySplit


@dataclass(frozen=True)
class Comparison:
    """The ranks of the rankers which an exported student is compared with.

    Attributes:
        student: name of the student; the baselines were fitted under its protocol.
        is_taught: whether the student learned from a teacher, be it one with an LLM or without.
        seed: seed of the student's training.
        baselines: ranks of each baseline on all held-out examples, by name of the baseline.
        teacher: name and ranks of the teacher; None if it has answered no held-out example.
        num_draws: number of bootstrap draws for the intervals.
        counterpart: the student without a teacher; None if there is none of the same protocol.
    """

    student: RowName
    is_taught: bool
    seed: int
    baselines: Mapping[str, BySplit]
    teacher: tuple[RowName, BySplit] | None
    num_draws: int
    counterpart: Counterpart | None = None

    def figures(self, student: BySplit, dataset: Dataset) -> tuple[Figure, ...]:
        """Computes the figures of the student, its counterpart, the baselines and the teacher.

        They are in this order. A ranker has one figure for each metric of `METRICS` and each
        held-out split on which it was ranked.

        Args:
            student: ranks of the student, by held-out split.
            dataset: the dataset with the examples of all ranks.
        """
        rows = [
            (self.student, student),
            *([(self.counterpart.name, self.counterpart.ranks)] if self.counterpart else []),
            *(
                (RowName(name, protocol=self.student.protocol), each)
                for name, each in self.baselines.items()
            ),
            *([self.teacher] if self.teacher else []),
        ]
        return tuple(_figures(rows, dataset, self.num_draws))

    def verdict(self, student: BySplit, dataset: Dataset) -> str:
        """Returns the sentence that says which baselines the student beats on the test examples.

        The student without a teacher is one of them, as in `training.evaluate`. A last sentence
        says that this is one seed, or that there was none to compare a taught student with.

        Args:
            student: ranks of the student, by held-out split.
            dataset: the dataset with the examples of all ranks.
        """
        evaluation = student[Split.TEST]
        rivals = {name: each[Split.TEST].ranks for name, each in self.baselines.items()}
        if self.counterpart is not None:
            name = without_teacher(self.counterpart.seed)
            rivals[name] = self.counterpart.ranks[Split.TEST].ranks
        differences = differences_to(
            evaluation.ranks,
            rivals,
            dataset.user_of_row[evaluation.rows],
            num_draws=self.num_draws,
        )
        refitted = ", refitted" if self.student.protocol == REFIT else ""
        label = f"{self.student.student} {self.student.row} (seed {self.seed}{refitted})"
        best = best_baseline(
            {
                name: each[Split.VALIDATION].ranks
                for name, each in self.baselines.items()
                if Split.VALIDATION in each
            }
        )
        sentence = verdict(label, differences, len(evaluation.rows), best)
        if not self.is_taught:
            return sentence
        if self.counterpart:
            return f"{sentence} Whether the teacher helped, `evaluate` tells, over all seeds."
        return f"{sentence} It was not compared with a student without a teacher."


def measure(ranker: Ranker, dataset: Dataset, label: str) -> BySplit:
    """Ranks the held-out examples of `dataset` with `ranker`; returns the ranks by split.

    A split without examples is left out. `label` is the ranker's name on the progress bar.
    """
    evaluations = {}
    for split, rows in held_out_examples(dataset).items():
        with ProgressBar(f"{label} {split.name.lower()}", len(rows), "example") as bar:
            evaluations[split] = evaluate(counting(ranker, bar), dataset, rows)
    return evaluations


def metrics_of(evaluations: BySplit) -> dict[str, dict[str, float]]:
    """Returns the metrics of each split, keyed by the split's name, for `Manifest.metrics`.

    The metrics of a split are keyed by name. The key `examples` has the split's number of examples.
    """
    return {
        split.name.lower(): {"examples": len(each.rows), **each.metrics}
        for split, each in evaluations.items()
    }


def teacher_evaluations(knowledge: Knowledge, dataset: Dataset) -> BySplit:
    """Returns the teacher's ranks on the held-out examples that it has answered, by split.

    The answers are those that `knowledge` stores. A split without answers is left out, so the
    result can be empty.
    """
    answers = {Split.VALIDATION: knowledge.validation, Split.TEST: knowledge.test}
    answered = {
        split: np.intersect1d(dataset.example_rows(split), each.rows)
        for split, each in answers.items()
    }
    return {
        split: evaluate(answers_ranker(answers[split]), dataset, rows)
        for split, rows in answered.items()
        if len(rows)
    }


def _figures(
    rows: Sequence[tuple[RowName, BySplit]], dataset: Dataset, num_draws: int
) -> Iterator[Figure]:
    examples = held_out_examples(dataset)
    bootstraps = {
        split: Bootstrap(dataset.user_of_row[each], num_draws) for split, each in examples.items()
    }
    for name, evaluations in rows:
        for split, evaluation in evaluations.items():
            is_measured = np.isin(examples[split], evaluation.rows)
            for metric in METRICS:
                values = np.zeros((1, len(is_measured)))
                values[0, is_measured] = metric_values(evaluation.ranks, metric)
                interval = bootstraps[split].draws(values, is_measured).interval()
                yield _figure(name, split, metric, interval)


def _figure(name: RowName, split: Split, metric: str, interval: Interval) -> Figure:
    return Figure(
        **name._asdict(),
        split=split.name.lower(),
        targets=TARGETS,
        metric=metric,
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        seeds=1,
    )
