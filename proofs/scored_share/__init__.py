"""Proves what a step that scores a part of the catalog saves, and what it costs in quality.

A student without a teacher is trained with each share of the candidates (`training.scored_share`),
once per seed, as the ladder trains its row `CE`. Compared are the validation ranks of the best
epochs; test ranks are not read. Ranks are stored beside those of the ladder, so a proof that was
stopped goes on, and seeds that the ladder has trained count. The CPU time of a step is measured in
turns, in one thread.

python -m proofs scored_share [--config FILE] [--shares SHARE ...] [--seeds N ...]
    [--work PATH] [--out PATH] [--workers N]
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from proofs.record import Figure
from proofs.scored_share.cost import cost
from proofs.scored_share.quality import ALL, quality
from training.data.dataset import Dataset
from training.data.storage import load_dataset
from training.distillation.job import Job
from training.errors import ConfigError
from training.ladder.plan.plan import Cell, Plan
from training.ladder.runs.schedule import perform_all
from training.ladder.runs.store import RunStore
from training.provenance import hardware
from training.settings.experiment import Experiment
from training.workplace import open_experiment

ROW = "CE"
Numbers = Annotated[tuple[int, ...], Parameter(consume_multiple=1)]
Shares = Annotated[tuple[float, ...], Parameter(consume_multiple=1)]


def prove(
    *,
    config: Path = Path("configs/amazon-games-next.toml"),
    shares: Shares = (0.4, 0.1),
    seeds: Numbers = (0, 1, 2, 3, 4),
    work: Path = Path("work"),
    out: Path = Path("docs/results"),
    workers: int | None = None,
) -> Iterator[Figure]:
    """Yields NDCG@20 on validation and the CPU time of a step, by the share that is scored.

    Args:
        config: the experiment; `training.prepare` has made its dataset.
        shares: shares of the candidates to compare with all of them.
        seeds: seeds of each share.
        work: folder of datasets and training states.
        out: folder of the reports, below which the ranks of runs are stored.
        workers: number of trainings side by side; by default one per core.

    Raises:
        ConfigError: the ladder has several trials of `CE`.
    """
    experiment, workplace = open_experiment(config, work)
    dataset = load_dataset(workplace.dataset)
    jobs = {
        share: jobs_of(experiment, dataset, share, seeds) for share in dict.fromkeys([ALL, *shares])
    }
    folder = out / "runs" / experiment.name
    store = RunStore(folder, workplace.ladder, f"{hardware()}, proofs scored_share")
    every = [job for each in jobs.values() for job in each]
    perform_all(every, store, workers)
    store.forget_training(every)
    yield from quality(jobs, store, dataset)
    yield from cost({share: each[0].trainer() for share, each in jobs.items()})


def jobs_of(
    experiment: Experiment, dataset: Dataset, share: float, seeds: Sequence[int]
) -> Sequence[Job]:
    """Returns the trainings of the ladder's row `CE` with `share` of the candidates, one per seed.

    Raises:
        ConfigError: the ladder has several trials of `CE`.
    """
    plan = Plan(experiment, dataset, (), (ROW,), tuple(dict.fromkeys(seeds)))
    cell = Cell(ROW, experiment.student.kind, None)
    trial, *others = plan.trials(cell)
    if others:
        raise ConfigError(f"ladder.grids.plain: {1 + len(others)} trials, where one is compared")
    return plan.jobs_with(cell, {**trial, "training.scored_share": share})
