"""From runs and stored answers to the lines of the ladder."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.evaluation.stored import answers_ranker
from training.evaluation.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import Evaluation, evaluate, ranker_of
from training.ladder.measured import Measured
from training.ladder.plan import STUDENT_NAMES, Cell, Plan, Teacher
from training.ladder.rows import HISTORY_TITLES_ROW, TITLES_ROW
from training.ladder.runs import HELD_OUT, BaselineRun, Run, Shelf
from training.teacher.titles import best_decay


def baseline_line(run: BaselineRun, plan: Plan) -> Measured:
    """A baseline that was measured."""
    facts = plan.shelf.facts(run)
    return Measured(run.name, _by_split([run], plan.shelf), facts.seconds, runs=[facts])


def teacher_line(teacher: Teacher, dataset: Dataset) -> Measured:
    """A teacher's stored answers, on the examples that have one."""
    evaluations = {}
    for split in HELD_OUT:
        answers = getattr(teacher.knowledge, split.name.lower())
        rows = np.intersect1d(dataset.example_rows(split), answers.rows)
        evaluations[split] = [evaluate(answers_ranker(answers), dataset, rows)]
    return Measured(
        f"teacher {teacher.kind}",
        evaluations,
        teacher.seconds,
        teacher=teacher.kind,
        teacher_tokens=teacher.tokens,
    )


def title_lines(
    who: str, item_embeddings: NDArray[np.float32], dataset: Dataset, decays: Sequence[float]
) -> Iterator[Measured]:
    """What embeddings of an LLM know alone: the nearest titles to the last item's.

    And those nearest to all titles of the history, where validation prefers one of `decays` to 0.
    """
    yield _title_line(TITLES_ROW, who, TitleNeighbours(dataset, item_embeddings))
    if decay := best_decay(dataset, item_embeddings, decays):
        of_history = TitleNeighbours(dataset, item_embeddings, decay)
        yield _title_line(HISTORY_TITLES_ROW, who, of_history)


def _title_line(row: str, who: str, neighbours: TitleNeighbours) -> Measured:
    dataset = neighbours.dataset
    ranker = ranker_of(neighbours, dataset)
    evaluations = {
        split: [evaluate(ranker, dataset, dataset.example_rows(split))] for split in HELD_OUT
    }
    return Measured(row, evaluations, 0.0, teacher=who)


def student_line(cell: Cell, plan: Plan) -> Measured:
    """A cell, of the seeds that it was trained with."""
    jobs = plan.measured_jobs(cell)
    runs = [plan.shelf.facts(job) for job in jobs]
    return Measured(
        cell.row,
        _by_split(jobs, plan.shelf),
        fmean(each.seconds for each in runs),
        student=STUDENT_NAMES[cell.student],
        teacher=cell.teacher.kind if cell.teacher else "",
        loss=jobs[0].experiment.training.loss,
        teacher_tokens=cell.teacher.tokens if cell.teacher else 0,
        seeds=[job.seed for job in jobs],
        num_trials=len(plan.trials(cell)),
        settings=plan.choose(cell),
        runs=runs,
    )


def _by_split(runs: Sequence[Run], shelf: Shelf) -> Mapping[Split, Sequence[Evaluation]]:
    return {split: [shelf.evaluation(each, split) for each in runs] for split in HELD_OUT}
