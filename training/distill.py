"""Distill: dataset and teacher knowledge become trained students, `work/<name>/checkpoints`.

python -m training.distill configs/movielens.toml
torchrun --nproc-per-node 2 -m training.distill configs/movielens.toml  # one student on several
"""

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from functools import partial

from training.cli import distinct_seeds, program_parser, run, say
from training.data.storage import load_dataset
from training.distillation.checkpoint import Checkpoint
from training.distillation.distributed import is_shared, leave
from training.distillation.job import Job, run_job
from training.distillation.process_pool import add_workers_option, side_by_side
from training.distillation.variants import DEFAULT_VARIANTS, VARIANTS
from training.evaluation.yardstick import SELECTION_METRIC
from training.knowledge import load_knowledge
from training.settings.experiment import Experiment
from training.stage import finish_replacement, is_current
from training.workplace import Workplace, knowledge_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = program_parser("training.distill", "Train students, with and without the teacher.")
    parser.add_argument("--seed", type=int, nargs="+", help="instead of the experiment's seeds")
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        help=f"only this one (default: {' and '.join(DEFAULT_VARIANTS)})",
    )
    add_workers_option(parser)
    return run(distill, parser, arguments)


def distill(experiment: Experiment, workplace: Workplace, options: Namespace) -> None:
    """Trains every variant with every seed, but for checkpoints that are there and current."""
    due = []
    for job in _jobs(experiment, workplace, options):
        folder = workplace.checkpoints / job.name
        finish_replacement(folder)
        if is_current(folder, job.stamp):
            say(f"{folder} is current, nothing to do")
        else:
            due.append(job)
    train = partial(run_job, folder=workplace.checkpoints)
    for checkpoint in side_by_side(train, due, 1 if is_shared() else options.workers):
        say(f"{workplace.checkpoints / checkpoint.name}: {_describe(checkpoint)}")
    leave()


def _jobs(experiment: Experiment, workplace: Workplace, options: Namespace) -> Iterator[Job]:
    dataset = load_dataset(workplace.dataset)
    for variant in [options.variant] if options.variant else DEFAULT_VARIANTS:
        knowledge = None
        if VARIANTS[variant].needs_teacher:
            knowledge = load_knowledge(
                knowledge_folder(experiment, workplace), dataset, experiment.teacher
            )
        for seed in distinct_seeds(options.seed) or experiment.training.seeds:
            yield Job(experiment, dataset, variant, seed, knowledge)


def _describe(checkpoint: Checkpoint) -> str:
    what = checkpoint.description
    return (
        f"validation {SELECTION_METRIC} {what.validation[SELECTION_METRIC]:.4f}, "
        f"best epoch {what.best_epoch}, {what.seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
