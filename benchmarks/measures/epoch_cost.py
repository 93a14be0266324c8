"""What distillation adds to an epoch: steps of three students in turn, medians of CPU time.

Of MovieLens, and of amazon-games where `training.teach` has left its knowledge in the workplace.
CPU time, since other programs on the machine change it least; one thread, as each student has that
`training.distill` trains beside another.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median

import torch

from benchmarks.options import Setting
from benchmarks.results.figures import Figure, Findings
from benchmarks.subjects.processes import ROOT
from benchmarks.subjects.subject import DEMO_CONFIG
from training.data.storage import load_dataset
from training.distillation.job import Job
from training.distillation.trainer import Trainer
from training.distillation.variants import VARIANTS
from training.knowledge import load_knowledge
from training.ladder.plan.rows import with_settings
from training.settings.experiment import Experiment, load_experiment
from training.workplace import Workplace, knowledge_folder

AMAZON_CONFIG = ROOT / "configs" / "amazon-games-cpu.toml"
STEPS_AT_A_TIME = 5
PLAIN = "plain"
ALL_WEIGHTS = dict.fromkeys(
    ("distillation.position", "distillation.confidence", "distillation.consistency"), True
)
STUDENTS: Mapping[str, tuple[str, Mapping[str, bool]]] = {
    PLAIN: ("plain", {}),
    "as configured": ("distilled", {}),
    "all three weights": ("distilled", ALL_WEIGHTS),
}


def measure(setting: Setting) -> Findings:
    """CPU-seconds of an epoch, and how many times the plain student's they are."""
    num_runs, num_turns = round(setting.either(5, 1)), round(setting.either(4, 2))
    at_hand = {each.name: _trainers(each, workplace) for each, workplace in _at_hand(setting)}
    figures: list[Figure] = []
    with _one_thread():
        for dataset, trainers in at_hand.items():
            _turns(trainers, [0])  # warms up
            runs = [
                _turns(trainers, range(begin, begin + num_turns))
                for begin in range(1, 1 + num_runs * num_turns, num_turns)
            ]
            figures += _figures(dataset, runs)
    conditions = {"threads": 1, "turns": num_turns, "steps a turn": STEPS_AT_A_TIME}
    return Findings(figures=tuple(figures), conditions=conditions)


def _at_hand(setting: Setting) -> Iterator[tuple[Experiment, Workplace]]:
    """MovieLens, and amazon-games where there is a teacher's knowledge of it."""
    demo, amazon = load_experiment(DEMO_CONFIG), load_experiment(AMAZON_CONFIG)
    yield demo, Workplace(setting.work / demo.name)
    workplace = Workplace(setting.work / amazon.name)
    if knowledge_folder(amazon, workplace).exists() and not setting.is_quick:
        yield amazon, workplace


def _trainers(experiment: Experiment, workplace: Workplace) -> Mapping[str, Trainer]:
    dataset = load_dataset(workplace.dataset)
    knowledge = load_knowledge(knowledge_folder(experiment, workplace), dataset, experiment.teacher)
    jobs = {
        name: Job(
            with_settings(experiment, settings),
            dataset,
            variant,
            seed=0,
            knowledge=knowledge if VARIANTS[variant].needs_teacher else None,
        )
        for name, (variant, settings) in STUDENTS.items()
    }
    # Where all weights are on anyway, they are one student.
    first_of = {job.stamp: name for name, job in reversed(jobs.items())}
    return {name: jobs[name].trainer() for name in STUDENTS if name in first_of.values()}


def _turns(trainers: Mapping[str, Trainer], turns: Sequence[int]) -> Mapping[str, float]:
    """Of each student the median of CPU-seconds an epoch, all having the same turns."""
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    for turn in turns:
        for name, trainer in trainers.items():
            seconds[name].append(_seconds_of_an_epoch(trainer, turn))
    return {name: median(of_turns) for name, of_turns in seconds.items()}


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


def _figures(dataset: str, runs: Sequence[Mapping[str, float]]) -> Iterator[Figure]:
    for student in runs[0]:
        seconds = tuple(run[student] for run in runs)
        yield Figure(name=f"an epoch of {dataset}, {student}", unit="s CPU", runs=seconds)
    for student in (each for each in runs[0] if each != PLAIN):
        times = tuple(run[student] / run[PLAIN] for run in runs)
        name = f"distilled epoch over plain, {dataset}, {student}"
        yield Figure(name=name, unit="times", runs=times, at_most=1.5)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
