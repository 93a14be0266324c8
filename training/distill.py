"""`distill`: trains students from dataset and teacher knowledge, `work/<name>/checkpoints`.

python -m training.distill configs/movielens.toml
torchrun --nproc-per-node 2 -m training.distill configs/movielens.toml  # two processes, one student
"""

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from functools import partial

from training.cli import distinct_seeds, program_parser, run, say
from training.data.storage import load_dataset
from training.distillation.checkpoint import Checkpoint
from training.distillation.distributed import is_distributed, leave_process_group
from training.distillation.job import Job, run_job
from training.distillation.process_pool import add_workers_option, side_by_side
from training.distillation.variants import DEFAULT_VARIANTS, VARIANTS
from training.evaluation.yardstick import SELECTION_METRIC
from training.knowledge import load_knowledge
from training.settings.experiment import Experiment
from training.stage import is_current, restore_folder
from training.workplace import Workplace, knowledge_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
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
    """Trains every variant with every seed, except where the checkpoint is current."""
    due = []
    for job in _jobs(experiment, workplace, options):
        folder = workplace.checkpoints / job.name
        restore_folder(folder)
        if is_current(folder, job.stamp):
            say(f"{folder} is current, nothing to do")
        else:
            due.append(job)
    train = partial(run_job, folder=workplace.checkpoints)
    for checkpoint in side_by_side(train, due, 1 if is_distributed() else options.workers):
        say(f"{workplace.checkpoints / checkpoint.name}: {_describe(checkpoint)}")
    leave_process_group()


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
    description = checkpoint.description
    return (
        f"validation {SELECTION_METRIC} {description.validation[SELECTION_METRIC]:.4f}, "
        f"best epoch {description.best_epoch}, {description.seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
