"""From runs and stored answers to the lines of the ladder."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from training.data.dataset import Dataset, Split
from training.evaluation.stored import answers_ranker
from training.evaluation.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import Evaluation, evaluate, ranker_of
from training.ladder.measured import Measured
from training.ladder.plan import STUDENT_NAMES, Cell, Plan, Teacher
from training.ladder.rows import TITLES_ROW
from training.ladder.runs import HELD_OUT, BaselineRun, Result


def baseline_line(run: BaselineRun, plan: Plan) -> Measured:
    """A baseline that was measured."""
    result = plan.shelf.result(run)
    return Measured(run.name, _by_split([result]), result.seconds)


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


def title_line(teacher: Teacher, dataset: Dataset) -> Measured:
    """The nearest titles to the last item's: what embeddings alone know."""
    ranker = ranker_of(TitleNeighbours(dataset, teacher.knowledge.item_embeddings), dataset)
    evaluations = {
        split: [evaluate(ranker, dataset, dataset.example_rows(split))] for split in HELD_OUT
    }
    return Measured(TITLES_ROW, evaluations, 0.0)


def student_line(cell: Cell, plan: Plan) -> Measured:
    """A cell that was trained with every seed."""
    jobs = plan.jobs(cell)
    results = [plan.shelf.result(job) for job in jobs]
    return Measured(
        cell.row,
        _by_split(results),
        fmean(result.seconds for result in results),
        student=STUDENT_NAMES[cell.student],
        teacher=cell.teacher.kind if cell.teacher else "",
        loss=jobs[0].experiment.training.loss,
        teacher_tokens=cell.teacher.tokens if cell.teacher else 0,
        settings=plan.choose(cell),
        commits=frozenset(each.commit for each in results),
    )


def _by_split(results: Sequence[Result]) -> Mapping[Split, Sequence[Evaluation]]:
    return {split: [each.evaluations[split] for each in results] for split in HELD_OUT}
