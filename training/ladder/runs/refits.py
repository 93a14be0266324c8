"""Refits the students of the ladder: trains each measured student again, on validation rows too.

A refit has the settings of its cell's chosen trial and the seed of a measured run. It trains for as
many epochs as validation chose in that run. So a job has a refit only when it is measured.
"""

from collections.abc import Sequence
from functools import partial

from training.distillation.after_training.pair_fit import PairSettings
from training.distillation.checkpoint import is_trained
from training.distillation.job import Job
from training.distillation.process_pool import side_by_side
from training.ladder.plan.plan import Cell
from training.ladder.runs.choices import Choices
from training.ladder.runs.perform import train_again
from training.ladder.runs.schedule import perform_all, trained_once
from training.ladder.runs.store import RunStore


def refit_of(job: Job, store: RunStore) -> Job:
    """Returns the refit of a measured job: the job that trains again, on validation rows too."""
    facts = store.facts(job)
    pairs = PairSettings.of(facts.settings)
    source = store.checkpoint_path(job)
    return job.refitted("refit", facts.best_epoch, facts.cold_bonus, source, pairs)


def refit_jobs(cell: Cell, choices: Choices) -> list[Job]:
    """Returns the refits of a cell, stored or not: one for each measured job."""
    return [refit_of(job, choices.store) for job in choices.measured_jobs(cell)]


def measured_refits(cell: Cell, choices: Choices) -> list[Job]:
    """Returns those refits of a cell whose ranks are stored."""
    return list(filter(choices.store.has, refit_jobs(cell, choices)))


def train_refits(
    cells: Sequence[Cell], choices: Choices, num_workers: int | None, *, keep_states: bool
) -> None:
    """Trains the refits of `cells`, except those that are stored already.

    A refit places cold items from the checkpoint of the measured run. If that checkpoint is
    missing, the measured run is trained again first.

    Args:
        cells: the cells whose measured runs are refitted.
        choices: chooses among the trials of a cell.
        num_workers: number of parallel processes; None for one per core.
        keep_states: whether training states and checkpoints are kept at the end.
    """
    store = choices.store
    jobs = [job for cell in cells for job in choices.measured_jobs(cell)]
    due = {job.stamp: job for job in jobs if not store.has(refit_of(job, store))}
    unplaced = [job for job in due.values() if _lacks_checkpoint(job, store)]
    for round_of_jobs in trained_once(unplaced):
        for _ in side_by_side(partial(train_again, store=store), round_of_jobs, num_workers):
            pass
    refits = [refit_of(job, store) for job in due.values()]
    perform_all(refits, store, num_workers)
    if not keep_states:
        store.forget_training([*unplaced, *refits])
        store.forget_checkpoints(jobs)


def _lacks_checkpoint(job: Job, store: RunStore) -> bool:
    is_placed = store.facts(job).cold_bonus is not None
    return is_placed and not is_trained(store.checkpoint_path(job), job.stamp)
