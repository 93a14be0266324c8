"""Schedules the runs of the ladder, several in parallel."""

from collections.abc import Iterator, Sequence
from functools import partial

from training.cli import say
from training.distillation.job import Job
from training.distillation.process_pool import side_by_side
from training.ladder.plan.plan import Cell
from training.ladder.runs.choices import Choices
from training.ladder.runs.perform import continues_another, perform
from training.ladder.runs.store import Run, RunStore


def train_cells(
    cells: Sequence[Cell], choices: Choices, num_workers: int | None, *, keep_states: bool
) -> None:
    """Trains the missing trials of all cells, then each cell's chosen trial with every seed.

    A cell whose trial can already be chosen does not wait: all its seeds are trained along with the
    missing trials of the other cells.

    Args:
        cells: the cells to train.
        choices: chooses among the trials of a cell.
        num_workers: number of parallel processes; None for one per core.
        keep_states: whether training states are kept at the end.

    Raises:
        KnowledgeError: a teacher has no answers that a cell could learn from; nothing is trained.
    """
    plan, store = choices.plan, choices.store
    for cell in cells:
        plan.trial_jobs(cell)[0].refuse_missing_answers()
    chosen = [cell for cell in cells if choices.can_choose(cell)]
    undecided = [cell for cell in cells if not choices.can_choose(cell)]
    trials = [job for cell in undecided for job in plan.trial_jobs(cell)]
    perform_all([*trials, *_every_seed(chosen, choices)], store, num_workers)
    reported = _every_seed(cells, choices)
    perform_all(reported, store, num_workers)
    if not keep_states:
        every_trial = [job for cell in cells for job in plan.trial_jobs(cell)]
        store.forget_training([*every_trial, *reported])


def perform_all(runs: Sequence[Run], store: RunStore, num_workers: int | None) -> None:
    """Performs the runs that are not stored yet; runs with equal stamps are performed once.

    `num_workers` is the number of parallel processes; None for one per core.
    """
    due = {each.stamp: each for each in runs if not store.has(each)}
    for number, stamp in enumerate(_performed(list(due.values()), store, num_workers), 1):
        run = due[stamp]
        student = f"{run.experiment.student.kind} " if isinstance(run, Job) else ""
        say(f"{number} of {len(due)}: {student}{run.name}")


def _performed(due: Sequence[Run], store: RunStore, num_workers: int | None) -> Iterator[str]:
    """Performs the runs `due`, and yields the stamp of each run when it is done.

    Runs that start from the training state of another run are performed last. If that state is
    gone, the first of them trains it again, before the others. `num_workers` is the number of
    parallel processes; None for one per core.
    """
    work = partial(perform, store=store)
    first = [each for each in due if not continues_another(each)]
    later = [each for each in due if isinstance(each, Job) and continues_another(each)]
    for round_of_runs in (first, *trained_once(later)):
        yield from side_by_side(work, round_of_runs, num_workers)


def trained_once(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """Divides `jobs` into those to perform first, one for each training, and all others.

    Jobs with one training write one file of its state, so no two may train it at the same time.
    """
    first = {each.training_stamp: each for each in reversed(jobs)}
    leaders = [each for each in jobs if first[each.training_stamp] is each]
    return leaders, [each for each in jobs if first[each.training_stamp] is not each]


def _every_seed(cells: Sequence[Cell], choices: Choices) -> list[Job]:
    return [job for cell in cells for job in choices.jobs(cell)]
