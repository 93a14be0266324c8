"""What the ladder trains: the trials of every tuned row, then every row with every seed.

Validation NDCG@20 of one seed chooses a row's trial. Test ranks lie beside it in a run's file, and
`choose` does not read them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from training.data.dataset import Dataset, Split
from training.distillation.job import Job
from training.evaluation.row_names import DISTILLED_ROW, TITLE_LISTS_ROW
from training.evaluation.yardstick import SELECTION_METRIC
from training.ladder.plan.rows import HEADLINES, ROWS, settings_of, with_settings
from training.ladder.runs.store import RunStore
from training.ladder.runs.teacher_ranks import Teacher
from training.settings.experiment import Experiment
from training.settings.ladder import Setting
from training.settings.student import STUDENT_NAMES, StudentKind

Trial = Mapping[str, Setting]


@dataclass(frozen=True)
class Cell:
    """A row of a student, with a teacher where the row needs one."""

    row: str
    student: StudentKind
    teacher: Teacher | None

    @property
    def name(self) -> str:
        """For people."""
        teacher = f", {self.teacher.kind} teacher" if self.teacher else ""
        return f"{STUDENT_NAMES[self.student]} {self.row}{teacher}"


@dataclass(frozen=True)
class Plan:
    """The cells of one ladder and the runs behind them.

    Attributes:
        teachers: the experiment's own first, or who stands in for it.
        rows: names of `ROWS`.
        shelf: of all runs.
        asked_seeds: of every row, in place of the experiment's; they choose no trial.
    """

    experiment: Experiment
    dataset: Dataset
    teachers: Sequence[Teacher]
    rows: Sequence[str]
    shelf: RunStore
    asked_seeds: Sequence[int] = ()

    def cells(self, student: StudentKind) -> Iterator[Cell]:
        """All cells of one student."""
        for name in self.rows:
            row = ROWS[name]
            if not row.needs_teacher:
                yield Cell(name, student, None)
            else:
                for teacher in self._teaching() if row.every_teacher else self.teachers[:1]:
                    if name != TITLE_LISTS_ROW or not teacher.asks_the_last_title:
                        yield Cell(name, student, teacher)

    def _teaching(self) -> Iterator[Teacher]:
        """The first, and of the others those that have lists to learn from."""
        yield self.teachers[0]
        yield from (each for each in self.teachers[1:] if each.knowledge.num_lists)

    def trials(self, cell: Cell) -> list[Trial]:
        """What may be chosen for a cell: every combination of its grid."""
        grid = getattr(self.experiment.ladder.grids, ROWS[_tuned_row(cell)].grid or "method")
        return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]

    def trial_jobs(self, cell: Cell) -> list[Job]:
        """A cell's trials in the order of `trials`, or those of `DLLM2Rec` that it takes over."""
        tuned = Cell(_tuned_row(cell), cell.student, cell.teacher)
        return [self._job(tuned, trial, self._own_seeds(tuned)[0]) for trial in self.trials(cell)]

    def can_choose(self, cell: Cell) -> bool:
        """Whether a cell's settings are known: all trials are there, or there is but one."""
        return len(self.trials(cell)) == 1 or all(map(self.shelf.has, self.trial_jobs(cell)))

    def choose(self, cell: Cell) -> Trial:
        """The trial with the best validation figure, the first of equals; see `can_choose`."""

        def figure(job: Job) -> float:
            return self.shelf.evaluation(job, Split.VALIDATION).metrics[SELECTION_METRIC]

        first, *others = self.trials(cell)
        if not others:
            return first
        figures = [figure(job) for job in self.trial_jobs(cell)]
        return self.trials(cell)[figures.index(max(figures))]

    def measured_jobs(self, cell: Cell) -> list[Job]:
        """Those of a cell's runs that are on the shelf; none as long as none can be chosen."""
        return list(filter(self.shelf.has, self.jobs(cell))) if self.can_choose(cell) else []

    def jobs(self, cell: Cell) -> list[Job]:
        """A cell's runs as they are reported: what was chosen, with every seed."""
        return self.jobs_with(cell, self.choose(cell))

    def jobs_with(self, cell: Cell, trial: Trial) -> list[Job]:
        """The runs of a cell if `trial` is chosen."""
        return [self._job(cell, trial, seed) for seed in self.seeds(cell)]

    def seeds(self, cell: Cell) -> Sequence[int]:
        """The seeds of a cell."""
        return self.asked_seeds or self._own_seeds(cell)

    def _own_seeds(self, cell: Cell) -> Sequence[int]:
        ladder = self.experiment.ladder
        return ladder.headline_seeds if cell.row in HEADLINES else ladder.seeds

    def _job(self, cell: Cell, trial: Trial, seed: int) -> Job:
        row = ROWS[cell.row]
        experiment = with_settings(settings_of(self.experiment, row, cell.student), trial)
        knowledge = cell.teacher.knowledge if cell.teacher else None
        return Job(experiment, self.dataset, row.variant, seed, knowledge)


def _tuned_row(cell: Cell) -> str:
    return cell.row if ROWS[cell.row].grid else DISTILLED_ROW
