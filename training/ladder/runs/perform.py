"""Performs runs of the ladder: trains or tunes, measures, and saves the ranks in the store."""

from training.distillation.distributed import available_processes
from training.distillation.job import Job
from training.ladder.runs.store import Run, RunFacts, RunStore
from training.provenance import commit
from training.students.scorer import StudentScorer


def continues_another(run: Run) -> bool:
    """Whether `run` starts from the training state of another run, and so must come after it."""
    return isinstance(run, Job) and run.training_stamp != run.stamp


def perform(run: Run, store: RunStore) -> str:
    """Trains or tunes one run, measures it and stores its ranks; returns its stamp.

    Training resumes from a saved state if there is one.
    """
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
