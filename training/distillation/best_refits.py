"""Makes the two jobs that refit the best student: one for serving, one for its test metrics."""

from collections.abc import Iterable
from pathlib import Path

from training.data.dataset import REFITS, Protocol
from training.distillation.after_training.pair_fit import PairSettings
from training.distillation.checkpoint import best_on_validation
from training.distillation.experiment_jobs import current_checkpoints
from training.distillation.job import Job
from training.distillation.variants import DISTILLED


def refits_of_best(
    jobs: Iterable[Job], folder: Path, variant: str = DISTILLED
) -> dict[Protocol, Job]:
    """Returns the two jobs that refit the best student of `variant`, keyed by protocol.

    The best student is the one with the highest validation NDCG@20. The job "refit-all" trains on
    validation and test rows, too, and its student is served. The job "refit" trains on validation
    rows, but not on test rows. So reports give the test metrics of the student of "refit".

    Args:
        jobs: jobs that train with validation; at least one is of `variant`.
        folder: parent folder of the checkpoints of `jobs`.
        variant: name of the method variant, a key of `VARIANTS`.

    Raises:
        CheckpointError: a checkpoint is missing, damaged, or was trained with other settings.
    """
    by_name = {job.name: job for job in jobs}
    best = best_on_validation(current_checkpoints(by_name.values(), folder), variant)
    job, chosen = by_name[best.name], best.description
    pairs = PairSettings.of(chosen.pairs)
    source = folder / best.name
    return {
        protocol: job.refitted(protocol, chosen.best_epoch, chosen.cold_bonus, source, pairs)
        for protocol in REFITS
    }
