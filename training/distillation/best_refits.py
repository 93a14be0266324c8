"""The refits of the student that validation prefers: the one to serve, and the one to measure."""

from collections.abc import Iterable
from pathlib import Path

from training.data.dataset import Protocol
from training.distillation.checkpoint import best_on_validation
from training.distillation.job import Job, current_checkpoints
from training.distillation.variants import DISTILLED

REFITS: tuple[Protocol, ...] = ("refit", "refit-all")


def refits_of_best(jobs: Iterable[Job], folder: Path) -> dict[Protocol, Job]:
    """Returns the two refits of the best distilled student on validation, by protocol.

    "refit-all" learns all rows and is served. "refit" learns the rows before test, so its figures
    on the test examples are reported in place of those of the served one.

    Args:
        jobs: jobs with validation, among them those of the variant `DISTILLED`.
        folder: folder of their checkpoints.

    Raises:
        CheckpointError: a checkpoint is missing, damaged, or was trained with other settings.
    """
    by_name = {job.name: job for job in jobs}
    best = best_on_validation(current_checkpoints(by_name.values(), folder), DISTILLED)
    job, chosen = by_name[best.name], best.description
    return {
        protocol: job.refitted(protocol, chosen.best_epoch, chosen.cold_bonus, folder / best.name)
        for protocol in REFITS
    }
