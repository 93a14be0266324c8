"""Forecasts a ladder: which trainings are still to be done, and how long they take at most."""

import time

from training.cli import say
from training.distillation.distributed import available_processes
from training.distillation.job import Job
from training.ladder.plan.plan import Cell
from training.ladder.runs.choices import Choices

PROBE_STEPS = 5


def forecast_runs(choices: Choices, num_workers: int) -> None:
    """Prints the missing trainings of each cell, and an upper bound on the ladder's duration.

    The bound assumes `num_workers` parallel processes.
    """
    plan = choices.plan
    total_seconds = 0.0
    for student in plan.experiment.ladder.students:
        counted: set[str] = set()  # training stamps of the cells above
        for cell in plan.cells(student):
            due = {job.training_stamp: job for job in _due(cell, choices)}
            new = [job for stamp, job in due.items() if stamp not in counted]
            counted |= set(due)
            run_seconds = _longest_seconds(new[-1]) if new else 0.0
            total_seconds += run_seconds * len(new)
            say(
                f"{cell.name}: {len(plan.trials(cell))} trials, seeds {plan.seeds(cell)}; "
                f"{len(new)} to train, at most {run_seconds:,.0f} s each"
            )
    minutes = total_seconds / num_workers / 60
    say(f"at most {minutes:,.0f} minutes with {num_workers} side by side")


def _due(cell: Cell, choices: Choices) -> list[Job]:
    """Returns the jobs of a cell whose ranks are not stored.

    While no trial can be chosen, these are the trial jobs, and a job per seed of the last trial.
    The last trial stands in for the chosen one.
    """
    plan = choices.plan
    if choices.can_choose(cell):
        jobs = choices.jobs(cell)
    else:
        jobs = [*plan.trial_jobs(cell), *plan.jobs_with(cell, plan.trials(cell)[-1])]
    return [job for job in jobs if not choices.store.has(job)]


def _longest_seconds(job: Job) -> float:
    """Estimates how many seconds a run takes if no early stop ends it; times a few steps for it.

    The estimate is the maximum number of epochs, times the duration of an epoch with validation.
    """
    trainer = job.trainer(available_processes())
    batches = trainer.windows.epoch(job.seed, 0)
    trainer.step(batches[0])
    began = time.perf_counter()
    probes = batches[:PROBE_STEPS]
    for batch in probes:
        trainer.step(batch)
    step_seconds = (time.perf_counter() - began) / len(probes)
    began = time.perf_counter()
    trainer.validate()
    epoch_seconds = step_seconds * len(batches) + time.perf_counter() - began
    return job.experiment.training.max_epochs * epoch_seconds
