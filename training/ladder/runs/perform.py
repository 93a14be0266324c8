"""Performs runs of the ladder: trains or tunes, measures, and saves the ranks in the store."""

from training.data.dataset import Protocol
from training.distillation.checkpoint import save_checkpoint
from training.distillation.distributed import available_processes
from training.distillation.job import Job, TrainedStudent
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
        protocol: Protocol = "refit" if run.is_refit else "train"
        facts = RunFacts(run.name, tuned.seconds, store.machine, [commit()], protocol=protocol)
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
        job.protocol,
    )
    store.save(job, StudentScorer(trained.student, job.dataset), facts)
    if store.keeps_placed and trained.cold_bonus is not None and job.refit is None:
        _keep_placed(job, trained, store)


def train_again(job: Job, store: RunStore) -> None:
    """Trains a measured job once more, for the checkpoint that its refit places cold items from."""
    label = f"{job.name} {job.stamp[:6]} again"
    trained = job.train(store.state_path(job), label, available_processes())
    _keep_placed(job, trained, store)


def _keep_placed(job: Job, trained: TrainedStudent, store: RunStore) -> None:
    save_checkpoint(job.checkpoint_of(trained), store.checkpoint_path(job), job.stamp)
