"""Runs of the ladder, performed: each is trained or tuned, measured and saved in the store."""

from training.distillation.distributed import available_processes
from training.distillation.job import Job
from training.ladder.runs.store import Run, RunFacts, RunStore
from training.provenance import commit
from training.students.scorer import StudentScorer


def continues_another(run: Run) -> bool:
    """Whether `run` continues the epochs of another run, and so should come after it."""
    return isinstance(run, Job) and run.training_stamp != run.stamp


def perform(run: Run, store: RunStore) -> str:
    """Trains and measures one run, from a saved state if there is one; returns its stamp."""
    if isinstance(run, Job):
        _train(run, store)
    else:
        tuned = run.tune()
        facts = RunFacts(run.name, tuned.seconds, store.machine, [commit()])
        store.save(run, tuned.scorer, facts)
    return run.stamp


def _train(job: Job, store: RunStore) -> None:
    name = f"{job.experiment.student.kind} {job.name}"
    trained = job.train(store.state_path(job), f"{name} {job.stamp[:6]}", available_processes())
    progress = trained.progress
    facts = RunFacts(
        name,
        progress.seconds,
        store.machine,
        progress.commits,
        progress.best_epoch,
        trained.cold_bonus,
    )
    store.save(job, StudentScorer(trained.student, job.dataset), facts)
