"""Measures the mixtures of the ladder: students fused with a baseline, and ensembles of seeds.

A student whose training state was removed is trained again. Mixtures are measured one after
another, since several of them can need the same student.
"""

from collections.abc import Sequence

from training.distillation.job import Job
from training.ladder.plan.mixtures import MixedRun, mixed_runs
from training.ladder.plan.plan import Cell
from training.ladder.runs.choices import Choices
from training.ladder.runs.refits import measured_refits
from training.ladder.runs.schedule import perform_all


def mixtures_of(cell: Cell, choices: Choices) -> list[MixedRun]:
    """Returns the runs of all mixtures of a cell's measured students."""
    return mixed_runs(cell, choices.measured_jobs(cell))


def refitted_mixtures(cell: Cell, choices: Choices) -> list[MixedRun]:
    """Returns the runs of all mixtures of a cell's refits.

    They use the fusion settings that were chosen before the refit.
    """
    by_seed = {job.seed: job for job in choices.measured_jobs(cell)}
    refits = measured_refits(cell, choices)
    return mixed_runs(cell, refits, [by_seed[job.seed] for job in refits])


def mix_students(
    cells: Sequence[Cell], choices: Choices, *, refits: bool, keep_states: bool
) -> None:
    """Measures the mixtures of `cells`, except those that are stored already.

    Args:
        cells: the cells whose students are mixed.
        choices: chooses among the trials of a cell.
        refits: whether mixtures of refitted students are measured too.
        keep_states: whether the students' training states and checkpoints are kept at the end.
    """
    store = choices.store
    runs = [run for cell in cells for run in mixtures_of(cell, choices)]
    if refits:
        runs += [run for cell in cells for run in refitted_mixtures(cell, choices)]
    perform_all(runs, store, num_workers=1)
    if not keep_states:
        trained: list[Job] = [job for run in runs for job in run.jobs]
        trials = [job for cell in cells for job in choices.plan.trial_jobs(cell)]
        store.forget_training([*trained, *trials])
        store.forget_checkpoints(job for cell in cells for job in choices.measured_jobs(cell))
