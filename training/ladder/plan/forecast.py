"""How long a ladder will take, told without training more than a few steps."""

import time

from training.cli import say
from training.distillation.distributed import available_processes
from training.distillation.job import Job
from training.ladder.plan.plan import Cell, Plan

PROBE_STEPS = 5


def forecast_runs(plan: Plan, num_workers: int) -> None:
    """Says what is due, cell by cell, and the most that it can take."""
    total = 0.0
    for student in plan.experiment.ladder.students:
        told: set[str] = set()  # trainings that a cell above does
        for cell in plan.cells(student):
            due = {job.training_stamp: job for job in _due(cell, plan)}
            ours = [job for stamp, job in due.items() if stamp not in told]
            told |= set(due)
            a_run = _longest_seconds(ours[-1]) if ours else 0.0
            total += a_run * len(ours)
            say(
                f"{cell.name}: {len(plan.trials(cell))} trials, seeds {plan.seeds(cell)}; "
                f"{len(ours)} to train, at most {a_run:,.0f} s each"
            )
    say(f"at most {total / num_workers / 60:,.0f} minutes with {num_workers} side by side")


def _due(cell: Cell, plan: Plan) -> list[Job]:
    """What of a cell was not measured; as long as trials are due, any may be the one chosen."""
    if plan.can_choose(cell):
        jobs = plan.jobs(cell)
    else:
        jobs = [*plan.trial_jobs(cell), *plan.jobs_with(cell, plan.trials(cell)[-1])]
    return [job for job in jobs if not plan.shelf.has(job)]


def _longest_seconds(job: Job) -> float:
    """How long a run takes that uses all its epochs, from a few steps of it."""
    trainer = job.trainer(available_processes())
    batches = trainer.windows.epoch(job.seed, 0)
    trainer.step(batches[0])
    began = time.perf_counter()
    probes = batches[:PROBE_STEPS]
    for batch in probes:
        trainer.step(batch)
    a_step = (time.perf_counter() - began) / len(probes)
    began = time.perf_counter()
    trainer.validate()
    an_epoch = a_step * len(batches) + time.perf_counter() - began
    return job.experiment.training.max_epochs * an_epoch
