"""The CPU time of a training step by the share of the candidates that it scores."""

import time
from collections.abc import Iterator, Mapping
from statistics import median

import numpy as np
import torch

from proofs.record import Figure
from proofs.scored_share.quality import ALL
from training.distillation.trainer import Trainer

NUM_TURNS, STEPS_A_TURN = 12, 5


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
        yield Figure(f"{100 * share:g}% scored: a step", "ms CPU", 1e3 * float(median(each)))
    for share in (each for each in measured if each != ALL):
        ratio = float(median(measured[share] / measured[ALL]))
        yield Figure(f"{100 * share:g}% scored over all, CPU of a step", "times", ratio)


def _seconds_a_step(trainer: Trainer, turn: int) -> float:
    batches = trainer.windows.epoch(trainer.seed, 0)
    begin = turn * STEPS_A_TURN % max(1, len(batches) - STEPS_A_TURN)
    chosen = batches[begin : begin + STEPS_A_TURN]
    trainer.student.train()
    began = time.process_time()
    for batch in chosen:
        trainer.step(batch)
    return (time.process_time() - began) / len(chosen)
