"""The quality of students by the share of the candidates that a step scores, on validation."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from proofs.record import Figure
from training.data.dataset import Dataset, Split
from training.distillation.job import Job
from training.evaluation.intervals import Bootstrap, Draws
from training.evaluation.metrics import ndcgs
from training.evaluation.yardstick import CUTOFFS
from training.ladder.runs.store import RunStore

ALL = 1.0  # of the candidates
LARGEST_LOSS = 0.01  # of validation NDCG@20, relative to that with all candidates
HELD_SHARE = 0.4  # the share that has this target; `benchmarks step_cost` has one for its time
NUM_DRAWS = 2_000


def quality(
    jobs: Mapping[float, Sequence[Job]], store: RunStore, dataset: Dataset
) -> Iterator[Figure]:
    """Yields the validation NDCG@20 of each share, and its relative gain over all candidates."""
    draws = {share: _validated(each, store, dataset) for share, each in jobs.items()}
    for share, each in draws.items():
        found = each.interval()
        name = f"{100 * share:g}% scored: validation NDCG@{CUTOFFS[-1]}"
        yield Figure(name, "NDCG", found.mean, found.low, found.high)
    for share in (each for each in draws if each != ALL):
        gain = draws[share].relative_to(draws[ALL]).interval()
        name = f"{100 * share:g}% scored over all, validation NDCG@{CUTOFFS[-1]}"
        yield Figure(name, "relative", gain.mean, gain.low, gain.high)
        floor = -LARGEST_LOSS if share == HELD_SHARE else None
        yield Figure(f"{name}: lower end of the interval", "relative", gain.low, at_least=floor)


def _validated(jobs: Sequence[Job], store: RunStore, dataset: Dataset) -> Draws:
    evaluations = [store.evaluation(job, Split.VALIDATION) for job in jobs]
    rows = evaluations[0].rows
    gains = np.array([ndcgs(each.of(rows).ranks, CUTOFFS[-1]) for each in evaluations])
    bootstrap = Bootstrap(dataset.user_of_row[rows], NUM_DRAWS)
    return bootstrap.draws(gains, np.ones(len(rows), dtype=bool))
