"""Makes the lines of the ladder from stored runs and references."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from training.data.dataset import Split
from training.distillation.job import Job
from training.evaluation.baselines.runs import BaselineRun
from training.evaluation.rank_files import held_out_examples
from training.evaluation.yardstick import Evaluation
from training.ladder.plan.mixtures import MixedRun
from training.ladder.plan.plan import Cell
from training.ladder.plan.references import Reference
from training.ladder.plan.witnesses import WitnessRun
from training.ladder.results.measured import Measured
from training.ladder.runs.choices import Choices
from training.ladder.runs.store import HasStamp, RunStore
from training.ladder.runs.teacher_ranks import ReferenceRanking
from training.settings.student import STUDENT_NAMES


def ranker_line(run: BaselineRun | WitnessRun, store: RunStore) -> Measured:
    """Makes the line of a baseline or an outside witness from its stored run."""
    facts = store.facts(run)
    return Measured(
        run.name,
        _by_split([run], store),
        facts.seconds,
        settings=facts.settings,
        runs=[facts],
        protocol=facts.protocol,
    )


def reference_lines(reference: Reference, rankings: Sequence[ReferenceRanking]) -> list[Measured]:
    """Makes the report lines of a reference, one for each of its rankings."""
    return [
        Measured(
            each.row,
            {split: [evaluation] for split, evaluation in each.evaluations.items()},
            each.train_seconds,
            teacher=reference.name,
            teacher_tokens=each.teacher_tokens,
        )
        for each in rankings
    ]


def refitted_titles(line: Measured) -> list[Measured]:
    """Returns a copy of a reference's line with the protocol `refit`, for a table of refits.

    The result is a list of one line if `line` ranks by titles: such a ranking fits nothing, so its
    test ranks are the same under both protocols. The copy has test ranks only. The list is empty
    if `line` shows a teacher's answers, which are never refitted.
    """
    if line.is_teacher:
        return []
    of_test = {Split.TEST: line.evaluations[Split.TEST]}
    return [replace(line, evaluations=of_test, protocol="refit")]


def student_line(cell: Cell, choices: Choices, jobs: Sequence[Job]) -> Measured:
    """Makes a line of the report from the stored runs of a cell.

    Args:
        cell: the cell: a row of the ladder for one student and one teacher.
        choices: the chosen settings of each cell, and the stored runs.
        jobs: the measured jobs of the cell or their refits, one per seed; each has a stored run.
    """
    runs = [choices.store.facts(job) for job in jobs]
    return Measured(
        cell.row,
        _by_split(jobs, choices.store),
        fmean(each.seconds for each in runs),
        student=STUDENT_NAMES[cell.student],
        teacher=cell.teacher.kind if cell.teacher else "",
        loss=jobs[0].experiment.training.loss,
        teacher_tokens=cell.teacher.tokens if cell.teacher else 0,
        seeds=[job.seed for job in jobs],
        num_trials=len(choices.plan.trials(cell)),
        settings={**choices.choose(cell), **joined([each.settings for each in runs])},
        runs=runs,
        protocol=jobs[0].protocol,
    )


def mixed_lines(cell: Cell, every_run: Sequence[MixedRun], store: RunStore) -> Iterator[Measured]:
    """Yields a line for each mixture of a cell, made from the stored runs among `every_run`.

    A mixture without a stored run has no line.
    """
    for row in dict.fromkeys(run.row for run in every_run):
        runs = [run for run in every_run if run.row == row and store.has(run)]
        if not runs:
            continue
        facts = [store.facts(each) for each in runs]
        yield Measured(
            row,
            _by_split(runs, store),
            fmean(each.seconds for each in facts),
            student=STUDENT_NAMES[cell.student],
            teacher=cell.teacher.kind if cell.teacher else "",
            loss=runs[0].jobs[0].experiment.training.loss,
            teacher_tokens=cell.teacher.tokens if cell.teacher else 0,
            seeds=[run.jobs[0].seed for run in runs] if runs[0].baseline else (),
            settings=joined([each.settings for each in facts]),
            runs=facts,
            protocol=runs[0].jobs[0].protocol,
            mixture="fused" if runs[0].baseline else "ensemble",
        )


def joined(settings: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Joins the settings of several runs into one mapping.

    The values of a setting are joined to text such as `0.1 or 0.3`; equal values are named once. A
    run without the setting, such as a student to which validation gave no pair bonus, has `none`.
    """
    names = dict.fromkeys(name for each in settings for name in each)
    return {
        name: " or ".join(dict.fromkeys(str(each.get(name, "none")) for each in settings))
        for name in names
    }


def _by_split(runs: Sequence[HasStamp], store: RunStore) -> Mapping[Split, Sequence[Evaluation]]:
    return {
        split: [store.evaluation(each, split) for each in runs]
        for split in held_out_examples(runs[0].dataset)
    }
