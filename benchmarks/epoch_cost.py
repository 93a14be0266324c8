"""What distillation adds to an epoch: steps of three students in turn, medians of CPU time.

python -m benchmarks.epoch_cost configs/movielens.toml

CPU time, since other programs on the machine change it least; one thread, as each student has
that `training.distill` trains beside another.
"""

import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from statistics import median

import torch

from training.config import Experiment
from training.data.storage import load_dataset
from training.distillation.job import Job
from training.distillation.loop import Trainer
from training.distillation.variants import VARIANTS
from training.ladder.rows import with_settings
from training.program import Workplace, knowledge_folder, program_parser, run, say
from training.provenance import commit, hardware
from training.teacher.knowledge import load_knowledge

STEPS_AT_A_TIME = 5
ALL_WEIGHTS = dict.fromkeys(
    ("distillation.position", "distillation.confidence", "distillation.consistency"), True
)
STUDENTS: Mapping[str, tuple[str, Mapping[str, bool]]] = {
    "plain": ("plain", {}),
    "distilled, as configured": ("distilled", {}),
    "distilled, all three weights": ("distilled", ALL_WEIGHTS),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = program_parser("benchmarks.epoch_cost", "Measure what distillation adds to an epoch.")
    parser.add_argument("--turns", type=int, default=40, help="of every student")
    return run(measure, parser, arguments)


def measure(experiment: Experiment, workplace: Workplace, options: Namespace) -> None:
    """Prints seconds an epoch and the ratio to the plain student's."""
    torch.set_num_threads(1)
    dataset = load_dataset(workplace.dataset)
    knowledge = load_knowledge(knowledge_folder(experiment, workplace), dataset, experiment.teacher)
    trainers = {
        name: Job(
            with_settings(experiment, settings),
            dataset,
            variant,
            seed=0,
            knowledge=knowledge if VARIANTS[variant].needs_teacher else None,
        ).trainer()
        for name, (variant, settings) in STUDENTS.items()
    }
    turns: dict[str, list[float]] = {name: [] for name in trainers}
    for turn in range(options.turns + 1):
        for name, trainer in trainers.items():
            seconds = _seconds_of_an_epoch(trainer, turn)
            if turn:  # the first one warms up
                turns[name].append(seconds)
    plain = median(turns["plain"])
    for name, seconds_of_turns in turns.items():
        seconds = median(seconds_of_turns)
        say(f"{name:30s} {seconds:7.2f} CPU-seconds an epoch, {seconds / plain:.2f} x plain")
    say(f"{options.turns} turns, commit {commit()}, {hardware()}")


def _seconds_of_an_epoch(trainer: Trainer, turn: int) -> float:
    """From a few steps of one epoch; validation costs all students the same and is left out."""
    batches = trainer.windows.epoch(0, 0)
    begin = turn * STEPS_AT_A_TIME % max(len(batches) - STEPS_AT_A_TIME, 1)
    chosen = batches[begin : begin + STEPS_AT_A_TIME]
    trainer.student.train()
    began = time.process_time()
    for batch in chosen:
        trainer.step(batch)
    return (time.process_time() - began) / len(chosen) * len(batches)


if __name__ == "__main__":
    sys.exit(main())
