"""Ladder: what each part of the method earns, measured; `docs/results/<name>.{md,csv}` and plots.

Runs that lie beside the report are not repeated; with another `--out`, they are. So a ladder can
be climbed in parts, some `--rows` of some `--students` at a time, and `--kept` reports all of it,
where nobody has the teachers' knowledge too.

python -m training.ladder configs/movielens.toml
"""

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter
from cyclopts.validators import mutually_exclusive

from training.cli import run, say
from training.data.dataset import Split
from training.data.storage import load_dataset
from training.distillation.job import Job
from training.distillation.process_pool import side_by_side, usable_cores
from training.errors import ConfigError
from training.evaluation.baseline_runs import BaselineRun
from training.evaluation.baselines import BASELINES
from training.ladder.plan.forecast import forecast_runs
from training.ladder.plan.plan import Cell, Plan
from training.ladder.plan.rows import ROWS
from training.ladder.plan.teachers import layers_lines, teacher_lines, teachers_of
from training.ladder.report.markdown import as_report, has_steps
from training.ladder.report.plots import save_cost_plot, save_parts_plot
from training.ladder.report.result_csv import save_figures
from training.ladder.results.from_runs import baseline_line, student_line
from training.ladder.results.measured import Figures, Measured
from training.ladder.runs.store import Run, RunStore, goes_on, perform
from training.options import WORK, Config, Seeds, Work, Workers, distinct_seeds
from training.provenance import commit, hardware
from training.settings.experiment import Experiment
from training.settings.student import StudentKind
from training.settings.teacher import TeacherKind
from training.stage import write_text
from training.workplace import Workplace, open_experiment

_INSTEAD_OF_TRAINING = Group("Instead of training", validator=mutually_exclusive)


@Parameter(name="*")
@dataclass(frozen=True)
class LadderOptions:
    """Options of `ladder`, beside the experiment and the folder of results."""

    students: Annotated[tuple[StudentKind, ...], Parameter(consume_multiple=1)] = ()
    """Only these kinds of student, instead of the experiment's ladder.students."""
    rows: Annotated[tuple[str, ...], Parameter(consume_multiple=1, choices=tuple(ROWS))] = ()
    """Only these rows."""
    seeds: Seeds = ()
    """Seeds of every row, instead of the experiment's; trials have their own."""
    teachers: Annotated[tuple[TeacherKind, ...], Parameter(consume_multiple=1)] = ()
    """Only these; the first of them stands in for the experiment's own in every row."""
    out: Annotated[Path, Parameter(show_default=True)] = Path("docs/results")
    """Folder of the report and its runs."""
    keep_states: bool = False
    """Keep states of training (large), so that cold items at another price cost no training."""
    workers: Workers = None
    kept: Annotated[bool, Parameter(group=_INSTEAD_OF_TRAINING)] = False
    """Report only what is kept of students and teachers: trains none, needs no knowledge."""
    dry_run: Annotated[bool, Parameter(group=_INSTEAD_OF_TRAINING)] = False
    """Say what is due, and train nothing."""


DEFAULTS = LadderOptions()


def command(config: Config, /, *, work: Work = WORK, options: LadderOptions = DEFAULTS) -> None:
    """Measure what each part of the method earns."""
    run_ladder(*open_experiment(config, work), options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run(command, "training.ladder", arguments)


def run_ladder(experiment: Experiment, workplace: Workplace, options: LadderOptions) -> None:
    """Trains what is due, student by student, and writes the report after each."""
    if options.students:
        ladder = experiment.ladder.model_copy(update={"students": tuple(options.students)})
        experiment = experiment.model_copy(update={"ladder": ladder})
    if experiment.training.loss != "cross-entropy":
        raise ConfigError(
            f"training.loss = {experiment.training.loss!r}: the ladder's rows bring their own, and "
            "compare with CE under cross-entropy"
        )
    plan = _plan(experiment, workplace, options)
    if options.dry_run:
        forecast_runs(plan, _num_workers(options))
        return
    references = _reference_lines(plan, workplace, kept=options.kept)
    baselines = [BaselineRun(name, plan.dataset) for name in BASELINES]
    _perform(baselines, plan, options)
    lines = [baseline_line(each, plan) for each in baselines]
    lines += references
    figures = Figures(plan.dataset, experiment.ladder.num_resamples)
    for student in experiment.ladder.students:
        cells = list(plan.cells(student))
        if not options.kept:
            _train(cells, plan, options)
        lines += [student_line(cell, plan) for cell in cells if plan.measured_jobs(cell)]
        if options.rows:
            _tell_unmeasured(cell for cell in cells if not plan.measured_jobs(cell))
        _report(lines, figures, plan, options)


def _train(cells: Sequence[Cell], plan: Plan, options: LadderOptions) -> None:
    """The trials of all cells, then what is chosen with every seed; at once what is no choice."""
    for cell in cells:
        plan.trial_jobs(cell)[0].refuse_missing_answers()
    certain = [cell for cell in cells if plan.can_choose(cell)]
    open_yet = [cell for cell in cells if not plan.can_choose(cell)]
    due = [job for cell in open_yet for job in plan.trial_jobs(cell)]
    _perform([*due, *_every_seed(certain, plan)], plan, options)
    chosen = _every_seed(cells, plan)
    _perform(chosen, plan, options)
    if not options.keep_states:
        trials = [job for cell in cells for job in plan.trial_jobs(cell)]
        plan.shelf.forget_training([*trials, *chosen])


def _tell_unmeasured(cells: Iterable[Cell]) -> None:
    for cell in cells:
        say(f"without {cell.name}: no run of it is kept")


def _every_seed(cells: Sequence[Cell], plan: Plan) -> list[Job]:
    return [job for cell in cells for job in plan.jobs(cell)]


def _plan(experiment: Experiment, workplace: Workplace, options: LadderOptions) -> Plan:
    dataset = load_dataset(workplace.dataset)
    shelf = RunStore(
        options.out / "runs" / experiment.name,
        workplace.ladder,
        f"{hardware()}, {_num_workers(options)} runs side by side",
    )
    return Plan(
        experiment=experiment,
        dataset=dataset,
        teachers=list(
            teachers_of(
                experiment,
                dataset,
                workplace,
                shelf,
                kept=options.kept,
                only=options.teachers or (),
            )
        ),
        rows=[row for row in ROWS if row in (options.rows or ROWS)],
        shelf=shelf,
        asked_seeds=distinct_seeds(options.seeds),
    )


def _reference_lines(plan: Plan, workplace: Workplace, *, kept: bool) -> list[Measured]:
    """Teachers first, then titles alone."""
    of_teachers = [line for each in plan.teachers for line in teacher_lines(each, plan.shelf)]
    of_layers = layers_lines(plan.experiment, plan.dataset, workplace, plan.shelf, kept=kept)
    return sorted([*of_teachers, *of_layers], key=lambda line: not line.is_teacher)


def _num_workers(options: LadderOptions) -> int:
    return int(options.workers or usable_cores())


def _perform(runs: Sequence[Run], plan: Plan, options: LadderOptions) -> None:
    """Does what is not there yet; a run that several cells share is done once."""
    due = {each.stamp: each for each in runs if not plan.shelf.has(each)}
    for number, stamp in enumerate(_performed(list(due.values()), plan, options), 1):
        done = due[stamp]
        student = f"{done.experiment.student.kind} " if isinstance(done, Job) else ""
        say(f"{number} of {len(due)}: {student}{done.name}")


def _performed(due: Sequence[Run], plan: Plan, options: LadderOptions) -> Iterator[str]:
    """The stamps, as they are done; runs that go on from others come after all others."""
    work = partial(perform, shelf=plan.shelf)
    for later in (False, True):
        runs = [each for each in due if goes_on(each) is later]
        yield from side_by_side(work, runs, options.workers)


def _report(
    lines: Sequence[Measured], figures: Figures, plan: Plan, options: LadderOptions
) -> None:
    name = plan.experiment.name
    save_figures(lines, figures, options.out / f"{name}.csv")
    save_cost_plot(lines, figures, options.out / f"{name}-cost.png")
    if has_steps(lines, figures):
        save_parts_plot(lines, figures, options.out / f"{name}-parts.png")
    text = as_report(lines, figures, dict(_origin(lines, plan)), name)
    write_text(options.out / f"{name}.md", text)
    say(f"written: {options.out / name}.md")


def _origin(lines: Sequence[Measured], plan: Plan) -> Iterator[tuple[str, object]]:
    ladder = plan.experiment.ladder
    yield "command", f"`python -m training.ladder {shlex.join(_arguments())}`"
    yield "commit", commit()
    yield "date", f"{datetime.now(UTC):%Y-%m-%d}"
    runs = [run for line in lines for run in line.runs]
    yield "commits of the runs", _all(each for run in runs for each in run.commits)
    yield "hardware", _all(run.machine for run in runs)
    kept = f"ranks of students and teachers in `runs/{plan.experiment.name}`"
    yield "kept", f"{kept}; trained anew with another `--out` and no `--kept`"
    wanted = f"{ladder.seeds}, of BCE, CE and DLLM2Rec {ladder.headline_seeds}"
    yield "seeds", f"{plan.asked_seeds or wanted}, as far as a row has them"
    for name, grid in ladder.grids:
        yield f"trials, {name}", "; ".join(f"{key} {list(values)}" for key, values in grid.items())
    there = len(plan.dataset.example_rows(Split.TEST))
    answered = {line.teacher: len(line.answered(Split.TEST)) for line in lines if line.is_teacher}
    for teacher in plan.teachers:
        facts = teacher.knowledge.provenance
        model = _described(facts)
        cost = f"{teacher.tokens:,} tokens, {teacher.seconds:,.0f} s on {facts.get('hardware')}"
        asked = answered.get(teacher.kind, 0)
        part = "" if asked == there else f", asked {asked:,} of {there:,} test examples"
        yield f"teacher {teacher.kind}", f"{model}, {cost}{part}"


def _arguments() -> list[str]:
    """The words after the program's name; `distilled-recommender ladder` names it in two."""
    words = sys.argv[1:]
    return words[1:] if words[:1] == ["ladder"] else words


def _described(facts: Mapping[str, Any]) -> str:
    """Which LLM, and what is done with it that need not be."""
    settings = facts.get("settings", {})
    model = f"{settings.get('model', 'unknown')} at {settings.get('precision', 'unknown')}"
    layers, pooling, tuning = (settings.get(each) for each in ("layers", "pooling", "tuning"))
    parts = [
        f"the first {layers} layers" if layers else "",
        "the mean over the last title"
        if pooling == "mean" and settings["kind"] == "retrieval"
        else "",
        f"tuned ({tuning})" if tuning not in (None, "none") else "",
        f"{share:.0%} of titles alone" if (share := facts.get("share")) else "",
    ]
    return ", ".join([model, *filter(None, parts)])


def _all(names: Iterable[str]) -> str:
    return "; ".join(sorted(set(names)))


if __name__ == "__main__":
    sys.exit(main())
