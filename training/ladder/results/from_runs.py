"""From runs to the lines of the ladder."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from training.data.dataset import HELD_OUT, Split
from training.evaluation.baseline_runs import BaselineRun
from training.evaluation.yardstick import Evaluation
from training.ladder.plan.plan import Cell, Plan
from training.ladder.results.measured import Measured
from training.ladder.runs.store import Run, RunStore
from training.settings.student import STUDENT_NAMES


def baseline_line(run: BaselineRun, plan: Plan) -> Measured:
    """A baseline that was measured."""
    facts = plan.shelf.facts(run)
    return Measured(run.name, _by_split([run], plan.shelf), facts.seconds, runs=[facts])


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


def _by_split(runs: Sequence[Run], shelf: RunStore) -> Mapping[Split, Sequence[Evaluation]]:
    return {split: [shelf.evaluation(each, split) for each in runs] for split in HELD_OUT}
