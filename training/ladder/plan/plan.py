"""The plan of a ladder: its cells, and the runs that each cell would need.

A cell is a row of one student with one teacher. Its trials are run with one seed; the chosen
trial is then run with every seed. The plan does not look at any result: `runs.choices` chooses.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from training.data.dataset import Dataset
from training.distillation.job import Job
from training.evaluation.row_names import DISTILLED_ROW, TITLE_LISTS_ROW
from training.ladder.plan.references import Teacher
from training.ladder.plan.rows import HEADLINES, ROWS, settings_of, with_settings
from training.settings.experiment import Experiment
from training.settings.ladder import Setting
from training.settings.student import STUDENT_NAMES, StudentKind

Trial = Mapping[str, Setting]
"""One combination of a grid: values by `section.key`."""


@dataclass(frozen=True)
class Cell:
    """A row of one student, with a teacher where the row needs one."""

    row: str
    student: StudentKind
    teacher: Teacher | None

    @property
    def name(self) -> str:
        """Student, row and teacher, for messages."""
        teacher = f", {self.teacher.kind} teacher" if self.teacher else ""
        return f"{STUDENT_NAMES[self.student]} {self.row}{teacher}"


@dataclass(frozen=True)
class Plan:
    """The cells of one ladder, and the jobs of each.

    Attributes:
        teachers: the experiment's own teacher first, or the one that replaces it in every row.
        rows: names of `ROWS`.
        requested_seeds: replace the experiment's seeds of every row; trials keep their own seed.
    """

    experiment: Experiment
    dataset: Dataset
    teachers: Sequence[Teacher]
    rows: Sequence[str]
    requested_seeds: Sequence[int] = ()

    def cells(self, student: StudentKind) -> Iterator[Cell]:
        """All cells of one student."""
        for name in self.rows:
            row = ROWS[name]
            if not row.needs_teacher:
                yield Cell(name, student, None)
                continue
            for teacher in self._teachers_with_lists() if row.every_teacher else self.teachers[:1]:
                if name != TITLE_LISTS_ROW or not teacher.ranks_by_last_title:
                    yield Cell(name, student, teacher)

    def _teachers_with_lists(self) -> Iterator[Teacher]:
        """The first teacher, and the others that have lists to learn from."""
        yield self.teachers[0]
        yield from (each for each in self.teachers[1:] if each.knowledge.num_lists)

    def trials(self, cell: Cell) -> list[Trial]:
        """The candidates for a cell's settings: every combination of its grid."""
        grid = getattr(self.experiment.ladder.grids, ROWS[_tuned_row(cell)].grid or "method")
        return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]

    def trial_jobs(self, cell: Cell) -> list[Job]:
        """A job for each of `trials`; a row without a grid uses the trials of `DLLM2Rec`."""
        tuned = Cell(_tuned_row(cell), cell.student, cell.teacher)
        seed = self._configured_seeds(tuned)[0]
        return [self._job(tuned, trial, seed) for trial in self.trials(cell)]

    def jobs_with(self, cell: Cell, trial: Trial) -> list[Job]:
        """The jobs of a cell, one a seed, if `trial` is chosen."""
        return [self._job(cell, trial, seed) for seed in self.seeds(cell)]

    def seeds(self, cell: Cell) -> Sequence[int]:
        """The seeds of a cell."""
        return self.requested_seeds or self._configured_seeds(cell)

    def _configured_seeds(self, cell: Cell) -> Sequence[int]:
        ladder = self.experiment.ladder
        return ladder.headline_seeds if cell.row in HEADLINES else ladder.seeds

    def _job(self, cell: Cell, trial: Trial, seed: int) -> Job:
        row = ROWS[cell.row]
        experiment = with_settings(settings_of(self.experiment, row, cell.student), trial)
        knowledge = cell.teacher.knowledge if cell.teacher else None
        return Job(experiment, self.dataset, row.variant, seed, knowledge)


def _tuned_row(cell: Cell) -> str:
    return cell.row if ROWS[cell.row].grid else DISTILLED_ROW
