"""The jobs of an experiment, one per variant and seed, and their checkpoints."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from training.data.dataset import Dataset
from training.distillation.checkpoint import Checkpoint, is_trained, load_checkpoint
from training.distillation.job import Job
from training.distillation.variants import VARIANTS
from training.errors import DISTILL, DISTILL_REFIT, CheckpointError
from training.knowledge import Knowledge
from training.settings.experiment import Experiment


def run_job(job: Job, folder: Path) -> Checkpoint:
    """Trains the student of `job` and stores it in `folder`; worker processes can import this."""
    return job.run(folder)


def jobs_of(
    experiment: Experiment,
    dataset: Dataset,
    knowledge: Knowledge | None,
    variants: Iterable[str],
    seeds: Sequence[int] = (),
) -> Iterator[Job]:
    """Yields one job for each pair of a variant and a seed.

    Args:
        experiment: settings of the students.
        dataset: dataset to train and validate on.
        knowledge: the teacher's knowledge; None only if no variant needs a teacher.
        variants: names of method variants.
        seeds: seeds of the training; empty for those of the experiment.

    Raises:
        ValueError: a variant needs a teacher, but `knowledge` is None.
    """
    for variant in variants:
        needed = knowledge if VARIANTS[variant].needs_teacher else None
        if needed is None and VARIANTS[variant].needs_teacher:
            raise ValueError(f"{variant} students need a teacher's knowledge")
        for seed in seeds or experiment.training.seeds:
            yield Job(experiment, dataset, variant, seed, needed)


def current_checkpoints(jobs: Iterable[Job], folder: Path) -> list[Checkpoint]:
    """Loads the checkpoints of `jobs` from subfolders of `folder`, in the order of `jobs`.

    Raises:
        CheckpointError: a checkpoint is missing, damaged, or was trained with other settings.
    """
    jobs = list(jobs)
    refuse_untrained(jobs, folder)
    return [load_checkpoint(folder / job.name) for job in jobs]


def refuse_untrained(jobs: Iterable[Job], folder: Path) -> None:
    """Checks that `folder` has an up-to-date checkpoint of each of `jobs`, without loading it.

    Raises:
        CheckpointError: a checkpoint is missing, or was trained with other settings.
    """
    for job in jobs:
        path = folder / job.name
        if not is_trained(path, job.stamp):
            program = DISTILL_REFIT if job.refit else DISTILL
            raise CheckpointError(f"{path}: missing or trained with other settings; run {program}")
