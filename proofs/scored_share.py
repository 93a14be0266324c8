"""Proves what a step that scores a part of the catalog saves, and what it costs in quality.

A student without a teacher is trained with each share of the candidates (`training.scored_share`),
once per seed, as the ladder trains its row `CE`. Compared are the validation ranks of the best
epochs; test ranks are not read. Ranks are stored beside those of the ladder, so a proof that was
stopped goes on, and seeds that the ladder has trained count. The CPU time of a step is measured in
turns, in one thread.

python -m proofs scored_share [--config FILE] [--shares SHARE ...] [--seeds N ...]
    [--work PATH] [--out PATH] [--workers N]
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import torch
from cyclopts import Parameter

from proofs.record import Figure
from training.data.dataset import Dataset, Split
from training.data.storage import load_dataset
from training.distillation.job import Job
from training.distillation.trainer import Trainer
from training.errors import ConfigError
from training.evaluation.intervals import Bootstrap, Draws
from training.evaluation.metrics import ndcgs
from training.evaluation.yardstick import CUTOFFS
from training.ladder.plan.plan import Cell, Plan
from training.ladder.runs.schedule import perform_all
from training.ladder.runs.store import RunStore
from training.provenance import hardware
from training.settings.experiment import Experiment
from training.workplace import open_experiment

ROW = "CE"
ALL = 1.0  # of the candidates
LARGEST_LOSS = 0.01  # of validation NDCG@20, relative to that with all candidates
HELD_SHARE = 0.4  # the share that has this target; `benchmarks step_cost` has one for its time
NUM_DRAWS = 2_000
NUM_TURNS, STEPS_A_TURN = 12, 5

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
    plan = Plan(experiment, dataset, (), (ROW,), tuple(seeds))
    cell = Cell(ROW, experiment.student.kind, None)
    trial, *others = plan.trials(cell)
    if others:
        raise ConfigError(f"ladder.grids.plain: {1 + len(others)} trials, where one is compared")
    return plan.jobs_with(cell, {**trial, "training.scored_share": share})


def quality(
    jobs: Mapping[float, Sequence[Job]], store: RunStore, dataset: Dataset
) -> Iterator[Figure]:
    """Yields the validation NDCG@20 of each share, and its relative gain over all candidates."""
    draws = {share: _validated(each, store, dataset) for share, each in jobs.items()}
    for share, each in draws.items():
        found = each.interval()
        name = f"{share:.0%} scored: validation NDCG@{CUTOFFS[-1]}"
        yield Figure(name, "NDCG", found.mean, found.low, found.high)
    for share in (each for each in draws if each != ALL):
        gain = draws[share].relative_to(draws[ALL]).interval()
        name = f"{share:.0%} scored over all, validation NDCG@{CUTOFFS[-1]}"
        yield Figure(name, "relative", gain.mean, gain.low, gain.high)
        floor = -LARGEST_LOSS if share == HELD_SHARE else None
        yield Figure(f"{name}: lower end of the interval", "relative", gain.low, at_least=floor)


def cost(trainers: Mapping[float, Trainer]) -> Iterator[Figure]:
    """Yields the CPU time of a step of each share, and its ratio to that with all candidates."""
    times: dict[float, list[float]] = {share: [] for share in trainers}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for turn in range(NUM_TURNS + 1):
            for share, trainer in trainers.items():
                times[share].append(_seconds_a_step(trainer, turn))
    finally:
        torch.set_num_threads(threads)
    measured = {share: np.array(each[1:]) for share, each in times.items()}  # the first warms up
    for share, each in measured.items():
        yield Figure(f"{share:.0%} scored: a step", "ms CPU", 1e3 * float(median(each)))
    for share in (each for each in measured if each != ALL):
        ratio = float(median(measured[share] / measured[ALL]))
        yield Figure(f"{share:.0%} scored over all, CPU of a step", "times", ratio)


def _validated(jobs: Sequence[Job], store: RunStore, dataset: Dataset) -> Draws:
    evaluations = [store.evaluation(job, Split.VALIDATION) for job in jobs]
    rows = evaluations[0].rows
    gains = np.array([ndcgs(each.of(rows).ranks, CUTOFFS[-1]) for each in evaluations])
    bootstrap = Bootstrap(dataset.user_of_row[rows], NUM_DRAWS)
    return bootstrap.draws(gains, np.ones(len(rows), dtype=bool))


def _seconds_a_step(trainer: Trainer, turn: int) -> float:
    batches = trainer.windows.epoch(trainer.seed, 0)
    begin = turn * STEPS_A_TURN % max(1, len(batches) - STEPS_A_TURN)
    chosen = batches[begin : begin + STEPS_A_TURN]
    trainer.student.train()
    began = time.process_time()
    for batch in chosen:
        trainer.step(batch)
    return (time.process_time() - began) / len(chosen)
