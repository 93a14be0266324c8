"""Runs the ladder: measures the gain of each part of the method and writes a report.

The report consists of `docs/results/<name>.md`, two CSV files and plots. Runs are stored in a
folder next to the report, and a stored run is not repeated. With another `--out`, all runs are
repeated. A ladder can be run in steps, with some `--rows` of some `--students` at a time. `--kept`
then reports all stored runs, also on a machine without the teachers' knowledge. With `--protocol
both`, every student and baseline is also refitted on training and validation rows.

python -m training.ladder configs/movielens.toml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter
from cyclopts.validators import mutually_exclusive

from training.cli import run, say
from training.compute.processes import usable_cores
from training.data.dataset import Dataset
from training.data.storage import load_dataset
from training.errors import ConfigError
from training.evaluation.baselines.registry import BASELINES
from training.evaluation.baselines.runs import BaselineRun
from training.ladder.plan.plan import Cell, Plan
from training.ladder.plan.rows import ROWS
from training.ladder.plan.witnesses import WITNESSES, WitnessRun
from training.ladder.report.origin import origin_of
from training.ladder.report.save import save_report
from training.ladder.results.from_runs import (
    mixed_lines,
    ranker_line,
    reference_lines,
    refitted_titles,
    student_line,
)
from training.ladder.results.measured import Figures, Measured
from training.ladder.runs.choices import Choices
from training.ladder.runs.find_teachers import find_teachers
from training.ladder.runs.forecast import forecast_runs
from training.ladder.runs.made_again import as_stored
from training.ladder.runs.measure_references import teacher_rankings, title_layer_rankings
from training.ladder.runs.mix import mix_students, mixtures_of, refitted_mixtures
from training.ladder.runs.refits import measured_refits, train_refits
from training.ladder.runs.schedule import perform_all, train_cells
from training.ladder.runs.store import RunStore
from training.provenance import hardware
from training.settings.experiment import Experiment
from training.settings.options import WORK, Config, Seeds, Work, Workers, distinct_seeds
from training.settings.student import StudentKind
from training.settings.teacher import TeacherKind
from training.workplace import Workplace, open_experiment

_INSTEAD_OF_TRAINING = Group("Instead of training", validator=mutually_exclusive)


@Parameter(name="*")
@dataclass(frozen=True)
class LadderOptions:
    """The options of the command `ladder`, except the config file and `--work`."""

    students: Annotated[tuple[StudentKind, ...], Parameter(consume_multiple=1)] = ()
    """Train only these kinds of student, instead of the experiment's ladder.students."""
    rows: Annotated[tuple[str, ...], Parameter(consume_multiple=1, choices=tuple(ROWS))] = ()
    """Train and report only these rows; by default all."""
    protocol: Annotated[
        Literal["train", "refit", "both"],
        Parameter(
            show_default=True,
            help="With `train`, rows are learned from training interactions, and validation "
            "chooses. `refit`: rows whose runs are stored are trained once more, on validation "
            "interactions too. `both`: first one, then the other. A report with refits has both.",
        ),
    ] = "train"
    seeds: Seeds = ()
    """Seeds of every row, instead of the experiment's; the seed of trials stays as it is."""
    teachers: Annotated[tuple[TeacherKind, ...], Parameter(consume_multiple=1)] = ()
    """Use only these teachers; the first replaces the experiment's own teacher in every row."""
    out: Annotated[Path, Parameter(show_default=True)] = Path("docs/results")
    """Folder of the report and of the stored runs."""
    mixtures: bool = False
    """Measure students fused with neighbours, and ensembles of seeds; trains them again if their
    states are gone."""
    keep_states: bool = False
    """Keep training states (large), so that another cold_price needs no new training."""
    workers: Workers = None
    kept: Annotated[bool, Parameter(group=_INSTEAD_OF_TRAINING)] = False
    """Report only stored runs and teachers: train nothing and read no knowledge."""
    dry_run: Annotated[bool, Parameter(group=_INSTEAD_OF_TRAINING)] = False
    """Print the trainings that are still to be done and their duration, and train nothing."""

    @property
    def refits(self) -> bool:
        """True if `--protocol` is `refit` or `both`, which ask for refits."""
        return self.protocol != "train"


DEFAULTS = LadderOptions()


def command(config: Config, /, *, work: Work = WORK, options: LadderOptions = DEFAULTS) -> None:
    """Measure the gain of each part of the method."""
    run_ladder(*open_experiment(config, work), options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments`, by default those of the process; returns the exit code."""
    return run(command, "training.ladder", arguments)


def run_ladder(experiment: Experiment, workplace: Workplace, options: LadderOptions) -> None:
    """Performs the runs that are not stored, and writes the report again after each student.

    With `--dry-run`, only prints the trainings that are still to be done.
    """
    experiment = _narrowed(experiment, options)
    _refuse_other_losses(experiment)
    dataset = load_dataset(workplace.dataset)
    store = _store(experiment, workplace, options)
    plan = _plan(experiment, dataset, workplace, store, options)
    choices = Choices(plan, store)
    if options.dry_run:
        forecast_runs(choices, _num_workers(options))
        if options.refits:
            say("not counted: a refit of each of these runs, for the epochs that it chooses")
        return
    references = _reference_lines(plan, workplace, store, stored_only=options.kept)
    baselines = [BaselineRun(name, dataset) for name in BASELINES]
    if options.refits:
        baselines += [run.refitted() for run in baselines]
        references += [line for each in references for line in refitted_titles(each)]
    perform_all(baselines, store, options.workers)
    witnesses = [run for name in WITNESSES if store.has(run := WitnessRun(name, dataset))]
    rankers: list[BaselineRun | WitnessRun] = [*baselines, *witnesses]
    lines = [*(ranker_line(each, store) for each in rankers), *references]
    _train_and_report(choices, lines, options)


def _train_and_report(choices: Choices, lines: list[Measured], options: LadderOptions) -> None:
    """Trains each kind of student, appends its lines to `lines`, and writes a report of all lines.

    With `options.kept`, nothing is trained: only stored runs become lines.
    """
    plan = choices.plan
    figures = Figures(plan.dataset, plan.experiment.ladder.num_resamples)
    for student in plan.experiment.ladder.students:
        cells = list(plan.cells(student))
        if not options.kept:
            _train(cells, choices, options)
        for cell in cells:
            if jobs := choices.measured_jobs(cell):
                lines.append(student_line(cell, choices, jobs))
            elif options.rows:
                say(f"left out: {cell.name}, which has no stored run")
            lines += mixed_lines(cell, mixtures_of(cell, choices), choices.store)
            if options.refits and (refits := measured_refits(cell, choices)):
                lines.append(student_line(cell, choices, refits))
                lines += mixed_lines(cell, refitted_mixtures(cell, choices), choices.store)
        save_report(lines, figures, dict(origin_of(lines, plan)), options.out, plan.experiment.name)


def _train(cells: Sequence[Cell], choices: Choices, options: LadderOptions) -> None:
    """Trains the runs and refits of `cells` that are not stored, and measures mixtures.

    `options` decides whether runs, refits and mixtures are made.
    """
    keep_states = options.keep_states or options.mixtures
    if options.protocol != "refit":
        train_cells(cells, choices, options.workers, keep_states=keep_states)
    if options.refits:
        train_refits(cells, choices, options.workers, keep_states=keep_states)
    if options.mixtures:
        mix_students(cells, choices, refits=options.refits, keep_states=options.keep_states)


def _narrowed(experiment: Experiment, options: LadderOptions) -> Experiment:
    """Returns `experiment` with only the students that `options` names; if none, unchanged."""
    if not options.students:
        return experiment
    ladder = experiment.ladder.model_copy(update={"students": tuple(options.students)})
    return experiment.model_copy(update={"ladder": ladder})


def _refuse_other_losses(experiment: Experiment) -> None:
    if experiment.training.loss != "cross-entropy":
        raise ConfigError(
            f"training.loss = {experiment.training.loss!r}: a ladder needs 'cross-entropy', since "
            "its rows are compared with the row CE, and the row BCE sets its own loss"
        )


def _store(experiment: Experiment, workplace: Workplace, options: LadderOptions) -> RunStore:
    machine = f"{hardware()}, {_num_workers(options)} runs side by side"
    folder = options.out / "runs" / experiment.name
    return RunStore(
        folder, workplace.ladder, machine, former=options.kept, keeps_placed=options.refits
    )


def _plan(
    experiment: Experiment,
    dataset: Dataset,
    workplace: Workplace,
    store: RunStore,
    options: LadderOptions,
) -> Plan:
    teachers = find_teachers(
        experiment, dataset, workplace, store, stored_only=options.kept, only=options.teachers
    )
    return Plan(
        experiment=experiment,
        dataset=dataset,
        teachers=[as_stored(each, store) for each in teachers],
        rows=[row for row in ROWS if row in (options.rows or ROWS)],
        requested_seeds=distinct_seeds(options.seeds),
    )


def _reference_lines(
    plan: Plan, workplace: Workplace, store: RunStore, *, stored_only: bool
) -> list[Measured]:
    """Returns the lines of all references: first teachers' answers, then rankings by titles.

    With `stored_only`, titles embedded by an LLM's first layers are left out if their ranks are
    not stored, and a message says so.
    """
    rankings = [(each.reference, teacher_rankings(each, store)) for each in plan.teachers]
    rankings += title_layer_rankings(
        plan.experiment, plan.dataset, workplace, store, stored_only=stored_only
    )
    lines = [line for each in rankings for line in reference_lines(*each)]
    return sorted(lines, key=lambda line: not line.is_teacher)


def _num_workers(options: LadderOptions) -> int:
    return int(options.workers or usable_cores())


if __name__ == "__main__":
    sys.exit(main())
