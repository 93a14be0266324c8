"""Defines the lines of the ladder, and computes their figures with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset, Protocol, Split
from training.distillation.variants import VARIANTS, made_without_llm
from training.evaluation.intervals import Bootstrap, Draws
from training.evaluation.metrics import metric_values
from training.evaluation.row_names import TRAINING_OF_ROW
from training.evaluation.yardstick import Evaluation
from training.ladder.runs.store import RunFacts

SHOWN_PROTOCOLS: tuple[Protocol, ...] = ("train", "refit")
TARGETS = ("all", "warm", "cold")
# Targets that were cold before the refit. Some are warm to it, since it learns validation rows.
COLD_BEFORE = "cold-train"
# Cold items in no validation example, neither as next item nor in the history. The cold bonus
# learns from validation examples, so it has not seen these items.
NEW = "new"


Kind = Literal["ranker", "student", "teacher", "control", "ensemble"]


@dataclass(frozen=True)
class Measured:
    """A line of the ladder: one ranker, with one evaluation per run and split.

    Attributes:
        row: name of the row, as in the CSV file.
        evaluations: ranks of the next items by split, one evaluation per run.
        train_seconds: mean training or tuning time of a run in seconds; for a teacher, the time
            that its LLM took.
        student: name of the student, such as "SASRec"; empty for a ranker without a student.
        teacher: kind of the teacher, or the layers of an LLM that embed titles; empty for a ranker
            without an LLM.
        loss: next-item loss; empty for a ranker without a student.
        teacher_tokens: tokens that the LLM read and wrote; 0 for a ranker without a teacher.
        seeds: the seed of each run; empty for a ranker without seeds.
        num_trials: number of trials that the settings were chosen from; 0 if there were none.
        settings: the chosen settings; empty if there was nothing to choose.
        runs: facts of each run; empty for a reference.
        protocol: the rows that the ranker was fitted on; a refit has no validation figures.
        mixture: "fused" for a student with a baseline, "ensemble" for the average of several seeds,
            empty for all other rankers.
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
    protocol: Protocol = "train"
    mixture: Literal["", "fused", "ensemble"] = ""

    @property
    def targets(self) -> Sequence[str]:
        """Names of the groups of next items that the line has figures for.

        These are `all`, `warm` and `cold`; for a refit also `cold-train`. See `Figures.is_among`.
        """
        return TARGETS if self.protocol == "train" else (*TARGETS, COLD_BEFORE)

    @property
    def num_runs(self) -> int:
        """Number of measured runs: one per seed; 1 for a ranker without seeds."""
        return len(self.evaluations[Split.TEST])

    @property
    def is_teacher(self) -> bool:
        """True if the line shows a teacher's own answers, not those of its students."""
        return self.row.startswith("teacher ")

    def answered(self, split: Split) -> NDArray[np.int64]:
        """Returns the dataset rows of those examples of `split` that were ranked, ascending."""
        return self.evaluations[split][0].rows

    def can_be_compared(self, other: "Measured") -> bool:
        """Returns whether the two lines share a seed, or at least one of them has no seeds.

        `Figures.pair` compares them.
        """
        return not (self.seeds and other.seeds) or not set(self.seeds).isdisjoint(other.seeds)

    @property
    def kind(self) -> Kind:
        """Kind of the line: "teacher", "control", "ensemble", "student" or "ranker".

        The kind "ranker" stands for baselines, outside witnesses and fused rows.
        """
        if self.is_teacher:
            return "teacher"
        if self.row.startswith("control "):
            return "control"
        if self.mixture == "ensemble":
            return "ensemble"
        return "student" if self.student and not self.mixture else "ranker"

    @property
    def is_teacher_free(self) -> bool:
        """True if the ranker uses no LLM: it has no teacher, or a teacher without an LLM.

        The teacher `fusion-without-titles` has no LLM. A student of this teacher nevertheless uses
        one if it reads title embeddings.
        """
        training = TRAINING_OF_ROW.get(self.row)
        may_read_titles = training is None or VARIANTS[training.variant].embeddings
        reads_titles = may_read_titles and not self.is_teacher
        return made_without_llm(self.teacher, reads_titles=reads_titles)

    @property
    def key(self) -> tuple[str, str, str]:
        """Row, student and teacher, which together identify the line under its protocol."""
        return self.row, self.student, self.teacher


def students_of(lines: Sequence[Measured]) -> list[str]:
    """Returns the names of the students in `lines`, each once, in order of appearance."""
    return [each for each in dict.fromkeys(line.student for line in lines) if each]


class Figures:
    """Computes figures of measured rankers on one dataset, all from the same bootstrap draws.

    Args:
        dataset: the dataset of all rankers.
        num_draws: number of bootstrap draws.
    """

    def __init__(self, dataset: Dataset, num_draws: int) -> None:
        self.dataset = dataset
        self.num_draws = num_draws
        self.is_warm: Mapping[Protocol, NDArray[np.bool_]] = {
            protocol: dataset.under(protocol).train_counts() > 0 for protocol in SHOWN_PROTOCOLS
        }
        self.is_known = self.is_warm["train"] | in_validation(dataset)
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
        protocol: Protocol | None = None,
    ) -> Draws:
        """Computes a metric of `line` with its bootstrap draws, or takes both from a cache.

        Args:
            line: the ranker.
            split: split of the examples.
            targets: name of the group of next items that count, such as `cold`; see `is_among`.
            metric: name of the metric, such as `NDCG@20`.
            seeds: seeds of the runs that count; empty for all runs.
            rows: dataset rows of the examples that count; None for all that `line` ranked.
            protocol: protocol that decides which items are warm; None for that of `line`.
        """
        protocol = protocol or line.protocol
        runs = line.evaluations[split]
        if seeds and line.seeds:
            runs = [runs[line.seeds.index(seed)] for seed in seeds]
        rows = runs[0].rows if rows is None else rows
        of_line = (*line.key, line.protocol, protocol, *(seeds or line.seeds))
        key = (*of_line, split, targets, metric, hash(rows.tobytes()))
        if key not in self._draws:
            values = np.stack([metric_values(each.of(rows).ranks, metric) for each in runs])
            is_among = self.is_among(targets, rows, protocol)
            self._draws[key] = self._bootstrap(rows).draws(values, is_among)
        return self._draws[key]

    def of_part(self, line: Measured, name: str, chosen: NDArray[np.bool_], metric: str) -> Draws:
        """Computes a metric of `line`, with bootstrap draws, on the test examples of one stratum.

        Args:
            line: the ranker.
            name: name of the stratum, unique among the strata of the dataset.
            chosen: mask of the rows in the stratum, `[interactions]`.
            metric: name of the metric, such as `NDCG@20`.
        """
        key = (*line.key, line.protocol, "part", name, metric)
        if key not in self._draws:
            rows = line.answered(Split.TEST)
            runs = line.evaluations[Split.TEST]
            values = np.stack([metric_values(each.ranks, metric) for each in runs])
            self._draws[key] = self._bootstrap(rows).draws(values, chosen[rows])
        return self._draws[key]

    def pair(
        self,
        line: Measured,
        other: Measured,
        targets: str,
        metric: str,
        split: Split = Split.TEST,
    ) -> tuple[Draws, Draws]:
        """Computes a metric of two lines, with bootstrap draws, on their common seeds and examples.

        Only examples of `split` with a next item of the group `targets` count, see `is_among`. If
        one of the lines is a refit, an item is warm for both if it is warm for the refit.

        Raises:
            ValueError: both lines have seeds, but none in common.
        """
        shared = [seed for seed in line.seeds if seed in other.seeds]
        if not line.can_be_compared(other):
            raise ValueError(f"no seed of {line.seeds} is in {other.seeds}; compare other lines")
        rows = np.intersect1d(line.answered(split), other.answered(split))
        is_refit = "refit" in (line.protocol, other.protocol)
        protocol: Protocol = "refit" if is_refit else "train"
        more, less = (
            self.draws(each, split, targets, metric, shared, rows, protocol)
            for each in (line, other)
        )
        return more, less

    def is_among(
        self, targets: str, rows: NDArray[np.int64], protocol: Protocol = "train"
    ) -> NDArray[np.bool_]:
        """Returns a mask, `[rows]`, of the rows whose next item belongs to the group `targets`.

        Args:
            targets: name of the group. `all` is all items, `warm` the warm ones, `cold` the others.
                `cold-train` is the items that are cold under the protocol `train`. `new` is the
                cold items that no validation example has, as next item or in its history.
            rows: `[rows]`, dataset rows of the next items.
            protocol: protocol that decides which items are warm: those that occur in the rows it
                fits a ranker on.
        """
        if targets == "all":
            return np.ones(len(rows), dtype=np.bool_)
        if targets == COLD_BEFORE:
            targets, protocol = "cold", "train"
        is_known = self.is_warm[protocol]
        if targets == NEW:
            is_known = is_known | self.is_known
        known = is_known[self.dataset.item_indices[rows]]
        return known if targets == "warm" else ~known

    def count(self, split: Split, targets: str, protocol: Protocol = "train") -> int:
        """Counts the examples of a split whose next item belongs to the group `targets`.

        `targets` is a name such as `cold`, and `protocol` decides which items are warm; see
        `is_among`.
        """
        return int(self.is_among(targets, self.dataset.example_rows(split), protocol).sum())

    def _bootstrap(self, rows: NDArray[np.int64]) -> Bootstrap:
        """Returns the bootstrap of the examples at `rows`; equal `rows` share one object."""
        key = hash(rows.tobytes())
        if key not in self._bootstraps:
            self._bootstraps[key] = Bootstrap(self.dataset.user_of_row[rows], self.num_draws)
        return self._bootstraps[key]


def in_validation(dataset: Dataset) -> NDArray[np.bool_]:
    """Returns a mask, `[catalog rows]`, of the items that occur in a validation example.

    An item occurs in an example as its next item or in its history.
    """
    rows = dataset.example_rows(Split.VALIDATION)
    newest = np.full(len(dataset.user_ids), -1)
    newest[dataset.user_of_row[rows]] = rows  # ascending, so the last row of a user is stored
    is_used = np.zeros(dataset.catalog.num_rows, dtype=np.bool_)
    is_read = np.arange(len(dataset.splits)) <= newest[dataset.user_of_row]
    is_used[dataset.item_indices[is_read]] = True
    return is_used
