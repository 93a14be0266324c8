"""Measured rankers, the lines of the ladder, and figures of them with intervals."""

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
NEW = "new"  # cold items that no validation example, which cold items learn from, holds


@dataclass(frozen=True)
class Measured:
    """One ranker, with an evaluation per run and split.

    Attributes:
        row: its name in the CSV.
        student: SASRec, GRU4Rec or Caser; empty for a ranker without a student.
        teacher: the kind of the teacher, or which layers of an LLM embed the titles; empty for
            a ranker without an LLM.
        loss: of the next item; empty for a ranker without a student.
        evaluations: by split, one a run.
        train_seconds: average time of a run; for a teacher, the time of its LLM.
        teacher_tokens: tokens that the LLM read and wrote.
        seeds: one a run; empty for a ranker without seeds.
        num_trials: how many trials its settings were chosen from.
        settings: the chosen settings.
        runs: facts of each run.
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
        """The number of seeds it was trained with; 1 for a ranker without seeds."""
        return len(self.evaluations[Split.TEST])

    @property
    def is_teacher(self) -> bool:
        """Whether the answers of an LLM are measured."""
        return self.row.startswith("teacher ")

    def answered(self, split: Split) -> NDArray[np.int64]:
        """Rows of the examples of a split that were ranked, ascending."""
        return self.evaluations[split][0].rows

    def can_be_compared(self, other: "Measured") -> bool:
        """Whether both have a seed in common, or one has none; see `Figures.pair`."""
        return not (self.seeds and other.seeds) or not set(self.seeds).isdisjoint(other.seeds)

    @property
    def key(self) -> tuple[str, str, str]:
        """Row, student and teacher, which no two lines share."""
        return self.row, self.student, self.teacher


def students_of(lines: Sequence[Measured]) -> list[str]:
    """The students of `lines`, each once, in order of appearance."""
    return [each for each in dict.fromkeys(line.student for line in lines) if each]


class Figures:
    """Computes figures of measured rankers on one dataset, all from the same draws of users."""

    def __init__(self, dataset: Dataset, num_draws: int) -> None:
        self.dataset = dataset
        self.num_draws = num_draws
        self.is_warm = dataset.train_counts() > 0
        self.is_known = self.is_warm | in_validation(dataset)
        self._bootstraps: dict[int, Bootstrap] = {}
        self._draws: dict[tuple[object, ...], Draws] = {}

    def draws(
        self,
        line: Measured,
        split: Split,
        targets: str,
        metric: str,
        seeds: Sequence[int] = (),
        rows: NDArray[np.int64] | None = None,
    ) -> Draws:
        """A figure of `line`, with all its bootstrap draws.

        Args:
            line: the ranker.
            split: of the examples.
            targets: which next items count; a name of `TARGETS`, or `NEW`.
            metric: as `NDCG@20`.
            seeds: only runs with these seeds count; all runs where it is empty.
            rows: only these examples count; by default all that `line` answered.
        """
        runs = line.evaluations[split]
        if seeds and line.seeds:
            runs = [runs[line.seeds.index(seed)] for seed in seeds]
        rows = runs[0].rows if rows is None else rows
        key = (*line.key, split, targets, metric, *(seeds or line.seeds), hash(rows.tobytes()))
        if key not in self._draws:
            values = np.stack([metric_values(each.of(rows).ranks, metric) for each in runs])
            self._draws[key] = self._bootstrap(rows).draws(values, self.is_among(targets, rows))
        return self._draws[key]

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

    def is_among(self, targets: str, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """`[rows]`, which next items are among `targets`, a name of `TARGETS` or `NEW`.

        Cold items have no training interaction.
        """
        if targets == "all":
            return np.ones(len(rows), dtype=np.bool_)
        is_known = self.is_known if targets == NEW else self.is_warm
        known = is_known[self.dataset.item_indices[rows]]
        return known if targets == "warm" else ~known

    def count(self, split: Split, targets: str) -> int:
        """The number of examples of a split whose next item is among `targets`."""
        return int(self.is_among(targets, self.dataset.example_rows(split)).sum())

    def _bootstrap(self, rows: NDArray[np.int64]) -> Bootstrap:
        """The bootstrap of these examples; a teacher that answered a part has its own draws."""
        key = hash(rows.tobytes())
        if key not in self._bootstraps:
            self._bootstraps[key] = Bootstrap(self.dataset.user_of_row[rows], self.num_draws)
        return self._bootstraps[key]


def in_validation(dataset: Dataset) -> NDArray[np.bool_]:
    """`[catalog rows]`, which items are the next item or in the history of a validation example."""
    rows = dataset.example_rows(Split.VALIDATION)
    newest = np.full(len(dataset.user_ids), -1)
    newest[dataset.user_of_row[rows]] = rows  # ascending, so the last row of a user is stored
    is_used = np.zeros(dataset.catalog.num_rows, dtype=np.bool_)
    is_read = np.arange(len(dataset.splits)) <= newest[dataset.user_of_row]
    is_used[dataset.item_indices[is_read]] = True
    return is_used
