"""The choice among a cell's trials, by validation NDCG@20 of one seed.

A run's file holds test ranks too; `Choices` does not read them.
"""

from dataclasses import dataclass

from training.data.dataset import Split
from training.distillation.job import Job
from training.evaluation.yardstick import SELECTION_METRIC
from training.ladder.plan.plan import Cell, Plan, Trial
from training.ladder.runs.store import RunStore


@dataclass(frozen=True)
class Choices:
    """The settings that are chosen for the cells of `plan`, by the ranks in `store`."""

    plan: Plan
    store: RunStore

    def can_choose(self, cell: Cell) -> bool:
        """Whether a cell's settings are known: all trials are measured, or there is only one."""
        is_only_one = len(self.plan.trials(cell)) == 1
        return is_only_one or all(map(self.store.has, self.plan.trial_jobs(cell)))

    def choose(self, cell: Cell) -> Trial:
        """The trial with the best validation figure, the first of equals; see `can_choose`."""
        first, *others = self.plan.trials(cell)
        if not others:
            return first
        figures = [self._validation_figure(job) for job in self.plan.trial_jobs(cell)]
        return self.plan.trials(cell)[figures.index(max(figures))]

    def _validation_figure(self, job: Job) -> float:
        return self.store.evaluation(job, Split.VALIDATION).metrics[SELECTION_METRIC]

    def jobs(self, cell: Cell) -> list[Job]:
        """The jobs that a report shows for a cell: the chosen trial with every seed."""
        return self.plan.jobs_with(cell, self.choose(cell))

    def measured_jobs(self, cell: Cell) -> list[Job]:
        """Those of `jobs` that are measured; none while the cell's settings are not known."""
        return list(filter(self.store.has, self.jobs(cell))) if self.can_choose(cell) else []
