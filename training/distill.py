"""Trains students from a dataset and teacher knowledge, and writes `work/<name>/checkpoints`.

python -m training.distill configs/movielens.toml
python -m training.distill configs/movielens.toml --refit  # also the refits for `export --refit`
torchrun --nproc-per-node 2 -m training.distill configs/movielens.toml  # two processes, one student
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from training.cli import run, say
from training.data.storage import load_dataset
from training.distillation.best_refits import refits_of_best
from training.distillation.checkpoint import Checkpoint, is_trained, signs_in
from training.distillation.distributed import is_distributed, leave_process_group
from training.distillation.experiment_jobs import jobs_of, refuse_untrained, run_job
from training.distillation.job import Job
from training.distillation.process_pool import side_by_side
from training.distillation.variants import DEFAULT_VARIANTS, DISTILLED, VARIANTS
from training.evaluation.yardstick import SELECTION_METRIC
from training.knowledge import load_knowledge
from training.settings.experiment import Experiment
from training.settings.options import WORK, Config, Seeds, Work, Workers, distinct_seeds
from training.stage import finish_replacement
from training.workplace import Workplace, knowledge_folder, open_experiment


@Parameter(name="*")
@dataclass(frozen=True)
class DistillOptions:
    """Command-line options of `distill`, in addition to the experiment file and `--work`."""

    seed: Seeds = ()
    """Seeds to train with, instead of the experiment's training.seeds."""
    variant: Annotated[
        str | None,
        Parameter(
            choices=tuple(VARIANTS),
            help=f"Train only this variant; by default {' and '.join(DEFAULT_VARIANTS)}, both of "
            "which `evaluate` needs.",
        ),
    ] = None
    refit: bool = False
    """Then train the best student again, on held-out rows too, for `export --refit`. It is the best
    distilled one or, with --variant, the best one of that variant."""
    workers: Workers = None


DEFAULTS = DistillOptions()


def command(config: Config, /, *, work: Work = WORK, options: DistillOptions = DEFAULTS) -> None:
    """Train students, with and without the teacher."""
    distill(*open_experiment(config, work), options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs this program with `arguments` (None: `sys.argv[1:]`); returns the exit code."""
    return run(command, "training.distill", arguments)


def distill(experiment: Experiment, workplace: Workplace, options: DistillOptions) -> None:
    """Trains a student per method variant and seed, unless its checkpoint is up to date.

    `options` can select one variant, and seeds other than the default ones. With `options.refit`,
    the best student of one variant is also refitted, in two ways (`refits_of_best`). The variant
    is the selected one, or `DISTILLED` if none is selected.

    Raises:
        CheckpointError: a refit is asked for, but not all students that it is chosen from are
            trained already or trained now. Then nothing is trained.
    """
    dataset = load_dataset(workplace.dataset)
    variants = [options.variant] if options.variant else DEFAULT_VARIANTS
    refitted = options.variant or DISTILLED
    knowledge = None
    if any(VARIANTS[each].needs_teacher for each in variants):
        folder = knowledge_folder(experiment, workplace)
        knowledge = load_knowledge(folder, dataset, experiment.teacher)
    seeds = distinct_seeds(options.seed)
    jobs = list(jobs_of(experiment, dataset, knowledge, variants, seeds))
    to_refit = [refitted] if options.refit else []
    chosen_from = list(jobs_of(experiment, dataset, knowledge, to_refit))
    names = {job.name for job in jobs}
    refuse_untrained((job for job in chosen_from if job.name not in names), workplace.checkpoints)
    trained = _train(jobs, workplace.checkpoints, options)
    for sign in signs_in(trained, experiment, dataset):
        say(sign)
    if options.refit:
        refits = refits_of_best(chosen_from, workplace.checkpoints, refitted)
        _train(refits.values(), workplace.refits, options)
    leave_process_group()


def _train(jobs: Iterable[Job], checkpoints: Path, options: DistillOptions) -> Sequence[Checkpoint]:
    """Trains the jobs whose checkpoint in the folder `checkpoints` is missing or out of date.

    Returns the new checkpoints, in order of completion.
    """
    due, trained = [], []
    for job in jobs:
        folder = checkpoints / job.name
        finish_replacement(folder)
        if is_trained(folder, job.stamp):
            say(f"{folder} is current, nothing to do")
        else:
            due.append(job)
    train = partial(run_job, folder=checkpoints)
    for checkpoint in side_by_side(train, due, 1 if is_distributed() else options.workers):
        say(f"{checkpoints / checkpoint.name}: {_describe(checkpoint)}")
        trained.append(checkpoint)
    return trained


def _describe(checkpoint: Checkpoint) -> str:
    description = checkpoint.description
    if description.protocol != "train":
        rows = "all rows" if description.protocol == "refit-all" else "training and validation rows"
        return f"trained on {rows}, {description.best_epoch} epochs, {description.seconds:.0f} s"
    return (
        f"validation {SELECTION_METRIC} {description.validation[SELECTION_METRIC]:.4f}, "
        f"best epoch {description.best_epoch}, {description.seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
