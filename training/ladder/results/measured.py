"""A line of the ladder, measured: its runs, and any figure of them with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.evaluation.intervals import Bootstrap, Draws
from training.evaluation.metrics import metric_values
from training.evaluation.yardstick import Evaluation
from training.ladder.runs.store import RunFacts

TARGETS = ("all", "warm", "cold")
NEW = "new"  # cold ones that no validation example, which may teach, too, asks for or reads


@dataclass(frozen=True)
class Measured:
    """One ranker, with an evaluation per run and split.

    Attributes:
        row: named as in the CSV.
        student: SASRec, GRU4Rec, Caser, or nothing.
        teacher: its kind, or which layers of an LLM see the titles; of what has none, nothing.
        loss: of the next item, or nothing.
        evaluations: by split, one a run.
        train_seconds: of a run on average; of a teacher, all that it took.
        teacher_tokens: read and written by the LLM behind it.
        seeds: of its runs; none of what has none.
        num_trials: of what its settings were chosen.
        settings: what was chosen for it.
        runs: what is told of each.
    """

    row: str
    evaluations: Mapping[Split, Sequence[Evaluation]]
    train_seconds: float
    student: str = ""
    teacher: str = ""
    loss: str = ""
    teacher_tokens: int = 0
    seeds: Sequence[int] = ()
    num_trials: int = 0
    settings: Mapping[str, object] = field(default_factory=dict)
    runs: Sequence[RunFacts] = ()

    @property
    def num_runs(self) -> int:
        """How many seeds it was trained with; 1 for what has none."""
        return len(self.evaluations[Split.TEST])

    @property
    def is_teacher(self) -> bool:
        """Whether an LLM's answers are measured."""
        return self.row.startswith("teacher ")

    def answered(self, split: Split) -> NDArray[np.int64]:
        """The examples of a split that its runs ranked for, ascending."""
        return self.evaluations[split][0].rows

    def can_be_compared(self, other: "Measured") -> bool:
        """Whether both have a seed in common, or one has none; see `Figures.pair`."""
        return not (self.seeds and other.seeds) or not set(self.seeds).isdisjoint(other.seeds)

    @property
    def key(self) -> tuple[str, str, str]:
        """What no two lines share."""
        return self.row, self.student, self.teacher


class Figures:
    """Figures of one dataset, all from the same draws of users."""

    def __init__(self, dataset: Dataset, num_draws: int) -> None:
        self.dataset = dataset
        self.num_draws = num_draws
        self.is_warm = dataset.train_counts() > 0
        self.is_met = self.is_warm | met_in_validation(dataset)
        self._bootstraps: dict[int, Bootstrap] = {}
        self._known: dict[tuple[object, ...], Draws] = {}

    def draws(
        self,
        line: Measured,
        split: Split,
        targets: str,
        metric: str,
        seeds: Sequence[int] = (),
        rows: NDArray[np.int64] | None = None,
    ) -> Draws:
        """`metric` (as `NDCG@20`) of `line` on the targets of a split, with all its draws.

        Of its runs with `seeds` alone, where it has seeds and some are named; on all examples that
        it answered but where `rows` names some of them.
        """
        runs = line.evaluations[split]
        if seeds and line.seeds:
            runs = [runs[line.seeds.index(seed)] for seed in seeds]
        rows = runs[0].rows if rows is None else rows
        key = (*line.key, split, targets, metric, *(seeds or line.seeds), hash(rows.tobytes()))
        if key not in self._known:
            values = np.stack([metric_values(each.of(rows).ranks, metric) for each in runs])
            self._known[key] = self._bootstrap(rows).draws(values, self.are(targets, rows))
        return self._known[key]

    def pair(
        self,
        line: Measured,
        other: Measured,
        targets: str,
        metric: str,
        split: Split = Split.TEST,
    ) -> tuple[Draws, Draws]:
        """Figures of two lines to be compared, over the seeds and examples that both have.

        Raises:
            ValueError: both have seeds, and none in common.
        """
        shared = [seed for seed in line.seeds if seed in other.seeds]
        if not line.can_be_compared(other):
            raise ValueError(f"seeds {line.seeds} and {other.seeds} have none in common")
        rows = np.intersect1d(line.answered(split), other.answered(split))
        more, less = (
            self.draws(each, split, targets, metric, shared, rows) for each in (line, other)
        )
        return more, less

    def are(self, targets: str, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """`[rows]`, which next items are among `targets`, of `TARGETS` or `NEW`.

        Cold ones were never trained on.
        """
        if targets == "all":
            return np.ones(len(rows), dtype=np.bool_)
        known = (self.is_met if targets == NEW else self.is_warm)[self.dataset.item_indices[rows]]
        return known if targets == "warm" else ~known

    def count(self, split: Split, targets: str) -> int:
        """How many examples of a split have such a target."""
        return int(self.are(targets, self.dataset.example_rows(split)).sum())

    def _bootstrap(self, rows: NDArray[np.int64]) -> Bootstrap:
        """A teacher that answered a part of the examples has draws of its own."""
        key = hash(rows.tobytes())
        if key not in self._bootstraps:
            self._bootstraps[key] = Bootstrap(self.dataset.user_of_row[rows], self.num_draws)
        return self._bootstraps[key]


def met_in_validation(dataset: Dataset) -> NDArray[np.bool_]:
    """`[catalog rows]`, which items a validation example asks for or has in its history."""
    rows = dataset.example_rows(Split.VALIDATION)
    newest = np.full(len(dataset.user_ids), -1)
    newest[dataset.user_of_row[rows]] = rows  # ascending: the last one of a user stays
    met = np.zeros(dataset.catalog.num_rows, dtype=np.bool_)
    met[dataset.item_indices[np.arange(len(dataset.splits)) <= newest[dataset.user_of_row]]] = True
    return met
