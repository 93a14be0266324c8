"""Plans mixtures: rows that fuse a student with a baseline, or average students of several seeds.

A fused row of a student without a teacher shows the best that a shop can have without one; that of
the distilled student, what the teacher is worth beside neighbours. An ensemble is measured for
comparison only. Each answer of a mixture costs several rankers, so none is served.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from training.data.dataset import Dataset
from training.distillation.job import Job
from training.evaluation.baselines.runs import BaselineRun
from training.evaluation.row_names import CE_ROW, DISTILLED_ROW, STRONGEST_ROW, fused_row
from training.ladder.plan.plan import Cell
from training.ladder.plan.rows import ITEM_ROW, ORDERED_ROW
from training.stage import fingerprint

# Increment when a code change alters the ranks of a mixture with unchanged parts.
MIXTURES_VERSION = 1
NUM_AVERAGED = 3  # number of seeds of an ensemble


@dataclass(frozen=True)
class Mixture:
    """Definition of a mixture: the students whose scores it combines, and the baseline if any.

    Attributes:
        student_row: name of the ladder row whose students are combined.
        baseline: baseline that each student is fused with; None to average students of
            `NUM_AVERAGED` seeds.
    """

    student_row: str
    baseline: str | None = None


MIXTURES: Mapping[str, Mixture] = {
    **{fused_row(row): Mixture(row, ORDERED_ROW) for row in (CE_ROW, STRONGEST_ROW, DISTILLED_ROW)},
    fused_row(CE_ROW, "item kNN"): Mixture(CE_ROW, ITEM_ROW),
    f"{CE_ROW}, three seeds": Mixture(CE_ROW),
    f"{DISTILLED_ROW}, three seeds": Mixture(DISTILLED_ROW),
}
"""Maps the name of a row to its mixture."""


@dataclass(frozen=True)
class MixedRun:
    """One measurement of a mixture: the students to train, and the baseline to fuse them with.

    Attributes:
        row: name of the row, a key of `MIXTURES`.
        jobs: the jobs that train the students: one for a fused row, several for an ensemble.
        baseline: the baseline that the student is fused with; None for an ensemble.
        tuned: for a fused row of a refitted student, the run of that row before the refit. Its
            fusion settings are used again. None for all other runs.
    """

    row: str
    jobs: tuple[Job, ...]
    baseline: BaselineRun | None
    tuned: "MixedRun | None" = None

    @property
    def name(self) -> str:
        """Name of the row and its seeds, for messages."""
        return f"{self.row} {', '.join(str(job.seed) for job in self.jobs)}"

    @property
    def dataset(self) -> Dataset:
        """Dataset that the students are trained on and ranked on."""
        return self.jobs[0].dataset

    @property
    def stamp(self) -> str:
        """Hash of everything that decides the mixture's ranks."""
        baseline = self.baseline.stamp if self.baseline else ""
        return fingerprint(MIXTURES_VERSION, [job.stamp for job in self.jobs], baseline)


def mixed_runs(cell: Cell, jobs: Sequence[Job], before: Sequence[Job] = ()) -> list[MixedRun]:
    """Returns the runs of all mixtures of `MIXTURES` that combine the students of a cell.

    The list is empty if there are none. An ensemble needs `NUM_AVERAGED` jobs.

    Args:
        cell: the cell whose students are mixed.
        jobs: the jobs of the students, one per seed; an ensemble takes the first ones.
        before: if `jobs` are refits, the validation run of each, in the same order; else empty.
    """
    return list(_mixed_runs(cell, jobs, before))


def _mixed_runs(cell: Cell, jobs: Sequence[Job], before: Sequence[Job]) -> Iterator[MixedRun]:
    for row, mixture in MIXTURES.items():
        if mixture.student_row != cell.row or not jobs:
            continue
        if mixture.baseline:
            yield from _fused_runs(row, mixture.baseline, jobs, before)
        elif len(jobs) >= NUM_AVERAGED:
            yield MixedRun(row, tuple(jobs[:NUM_AVERAGED]), None)


def _fused_runs(
    row: str, baseline: str, jobs: Sequence[Job], before: Sequence[Job]
) -> Iterator[MixedRun]:
    fitted = BaselineRun(baseline, (before or jobs)[0].dataset)
    if not before:
        yield from (MixedRun(row, (job,), fitted) for job in jobs)
    for job, earlier in zip(jobs, before, strict=False):
        yield MixedRun(row, (job,), fitted.refitted(), MixedRun(row, (earlier,), fitted))
