"""Measures how much distillation adds to the CPU time of a training epoch.

Training steps of three students take turns: one without a teacher, one distilled as configured, and
one distilled with all three importance weights. The dataset is MovieLens, and also amazon-games if
its teacher's knowledge is in the work folder. CPU time is measured, since other programs on the
machine affect it least. Each student trains on one thread, as in `training.distill`, which trains
several in parallel.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median

import torch

from benchmarks.options import ROOT, Options
from benchmarks.results.figures import Figure, Findings
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
STEPS_PER_TURN = 5
TEACHER_FREE = "plain"
ALL_WEIGHTS = dict.fromkeys(
    ("distillation.position", "distillation.confidence", "distillation.consistency"), True
)
# For each name in the report: the method variant, and settings that differ from the experiment's.
STUDENTS: Mapping[str, tuple[str, Mapping[str, bool]]] = {
    TEACHER_FREE: ("plain", {}),
    "as configured": ("distilled", {}),
    "all three weights": ("distilled", ALL_WEIGHTS),
}


def measure(options: Options) -> Findings:
    """Measures the CPU seconds of an epoch of each student.

    For distilled students, the ratio to the student without a teacher is a figure too.
    """
    num_runs, num_turns = options.pick(5, quick=1), options.pick(4, quick=2)
    trainers_of = {each.name: _trainers(each, workplace) for each, workplace in _available(options)}
    figures: list[Figure] = []
    with _one_thread():
        for dataset, trainers in trainers_of.items():
            _take_turns(trainers, [0])  # warms up
            runs = [
                _take_turns(trainers, range(begin, begin + num_turns))
                for begin in range(1, 1 + num_runs * num_turns, num_turns)
            ]
            figures += _figures(dataset, runs)
    conditions = {"threads": 1, "turns": num_turns, "steps a turn": STEPS_PER_TURN}
    return Findings(figures=tuple(figures), conditions=conditions)


def _available(options: Options) -> Iterator[tuple[Experiment, Workplace]]:
    """Yields MovieLens and, if it can be measured, amazon-games: experiment and folders.

    Amazon-games needs its teacher's knowledge in the work folder, and is left out in a quick run.
    """
    demo, amazon = load_experiment(DEMO_CONFIG), load_experiment(AMAZON_CONFIG)
    yield demo, Workplace(options.work / demo.name)
    workplace = Workplace(options.work / amazon.name)
    if knowledge_folder(amazon, workplace).exists() and not options.is_quick:
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
    # If the experiment has all weights on, two names stand for the same job: the first is kept.
    first_of = {job.stamp: name for name, job in reversed(jobs.items())}
    return {name: jobs[name].trainer() for name in STUDENTS if name in first_of.values()}


def _take_turns(trainers: Mapping[str, Trainer], turns: Sequence[int]) -> Mapping[str, float]:
    """Times the students in turns; returns the median CPU seconds of an epoch for each student."""
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    for turn in turns:
        for name, trainer in trainers.items():
            seconds[name].append(_epoch_seconds(trainer, turn))
    return {name: median(of_turns) for name, of_turns in seconds.items()}


def _epoch_seconds(trainer: Trainer, turn: int) -> float:
    """Extrapolates the CPU seconds of an epoch from a few of its steps, which `turn` selects.

    Validation is left out, since it costs the same for all students.
    """
    batches = trainer.windows.epoch(0, 0)
    begin = turn * STEPS_PER_TURN % max(len(batches) - STEPS_PER_TURN, 1)
    chosen = batches[begin : begin + STEPS_PER_TURN]
    trainer.student.train()
    began = time.process_time()
    for batch in chosen:
        trainer.step(batch)
    return (time.process_time() - began) / len(chosen) * len(batches)


def _figures(dataset: str, runs: Sequence[Mapping[str, float]]) -> Iterator[Figure]:
    for student in runs[0]:
        seconds = tuple(run[student] for run in runs)
        yield Figure(name=f"an epoch of {dataset}, {student}", unit="s CPU", runs=seconds)
    for student in (each for each in runs[0] if each != TEACHER_FREE):
        times = tuple(run[student] / run[TEACHER_FREE] for run in runs)
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
