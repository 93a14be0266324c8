"""Chooses the trial of a cell that has the best validation NDCG@20, measured with one seed.

The files of runs hold test ranks too, but `Choices` does not read them.
"""

from dataclasses import dataclass

from training.data.dataset import Split
from training.distillation.job import Job
from training.evaluation.yardstick import SELECTION_METRIC
from training.ladder.plan.plan import Cell, Plan, Trial
from training.ladder.runs.store import RunStore


@dataclass(frozen=True)
class Choices:
    """Chooses settings for the cells of `plan` by the validation ranks in `store`."""

    plan: Plan
    store: RunStore

    def can_choose(self, cell: Cell) -> bool:
        """Returns whether `choose` can be called for `cell`.

        It can if the cell has only one trial, or if the ranks of all its trials are stored.
        """
        is_only_one = len(self.plan.trials(cell)) == 1
        return is_only_one or all(map(self.store.has, self.plan.trial_jobs(cell)))

    def choose(self, cell: Cell) -> Trial:
        """Returns the trial with the highest validation NDCG@20, the first one in case of a tie.

        Call this only if `can_choose` is true.
        """
        first, *others = self.plan.trials(cell)
        if not others:
            return first
        figures = [self._validation_figure(job) for job in self.plan.trial_jobs(cell)]
        return self.plan.trials(cell)[figures.index(max(figures))]

    def _validation_figure(self, job: Job) -> float:
        return self.store.evaluation(job, Split.VALIDATION).metrics[SELECTION_METRIC]

    def jobs(self, cell: Cell) -> list[Job]:
        """Returns the jobs of a cell's chosen trial, one per seed, measured or not.

        Call this only if `can_choose` is true.
        """
        return self.plan.jobs_with(cell, self.choose(cell))

    def measured_jobs(self, cell: Cell) -> list[Job]:
        """Returns the measured jobs of a cell's chosen trial, at most one per seed.

        The list is empty while `can_choose` is false.
        """
        return list(filter(self.store.has, self.jobs(cell))) if self.can_choose(cell) else []
