"""Plans a ladder: its cells, and the training jobs that each cell may need.

A cell is one row of the ladder for one student and one teacher. Each trial of a cell is trained
with one seed. The chosen trial is then trained with every seed. The plan reads no results:
`runs.choices` chooses the trial.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from training.data.dataset import Dataset
from training.distillation.job import Job
from training.distillation.variants import VARIANTS
from training.evaluation.row_names import CE_ROW, DISTILLED_ROW, TITLE_LISTS_ROW
from training.ladder.plan.references import Teacher
from training.ladder.plan.rows import HEADLINES, ROWS, LadderRow, settings_of
from training.settings.experiment import Experiment
from training.settings.ladder import Setting
from training.settings.student import STUDENT_NAMES, StudentKind
from training.settings.teacher import FUSION_KINDS

Trial = Mapping[str, Setting]
"""One combination of a grid's values: maps each setting, named `section.key`, to its value."""


@dataclass(frozen=True)
class Cell:
    """One row of the ladder for one student and, if the row needs one, one teacher.

    Attributes:
        row: name of the row, a key of `ROWS`.
        student: kind of the student.
        teacher: teacher of the student; None for a row without a teacher.
    """

    row: str
    student: StudentKind
    teacher: Teacher | None

    @property
    def name(self) -> str:
        """Names of the student, the row and the teacher, for messages."""
        teacher = f", {self.teacher.kind} teacher" if self.teacher else ""
        return f"{STUDENT_NAMES[self.student]} {self.row}{teacher}"


@dataclass(frozen=True)
class Plan:
    """The cells of one ladder, and the jobs of each cell.

    Attributes:
        experiment: settings of the ladder.
        dataset: dataset of all jobs.
        teachers: all teachers; the first one teaches the rows that have only one teacher.
        rows: names of `ROWS` to train, in the order of the report.
        requested_seeds: seeds of every row; empty for the experiment's seeds. Trials always use the
            experiment's first seed.
    """

    experiment: Experiment
    dataset: Dataset
    teachers: Sequence[Teacher]
    rows: Sequence[str]
    requested_seeds: Sequence[int] = ()

    def cells(self, student: StudentKind) -> Iterator[Cell]:
        """Yields the cells of one kind of student: one per row, or one per row and teacher."""
        for name in self.rows:
            row = ROWS[name]
            if not row.needs_teacher:
                yield Cell(name, student, None)
                continue
            for teacher in self._teachers_of(row):
                if name != TITLE_LISTS_ROW or not teacher.ranks_by_last_title:
                    yield Cell(name, student, teacher)

    def _teachers_of(self, row: LadderRow) -> Iterator[Teacher]:
        """Yields the first teacher and, if `row.every_teacher` is true, the others.

        A teacher that cannot teach the row is skipped, by these rules:

        - A row with distributions is taught by fusion teachers only.
        - For a row with ranking lists, a teacher after the first needs answers to training
          examples.
        - For a row without lists, fusion teachers after the first are skipped, since their
          embeddings are those of the titles teacher.
        """
        first, *others = self.teachers
        if row.can_be_taught_by(first.kind):
            yield first
        for each in others if row.every_teacher else ():
            if VARIANTS[row.variant].ranking:
                has_more = each.knowledge.num_lists > 0 and row.can_be_taught_by(each.kind)
            else:
                has_more = each.kind not in FUSION_KINDS
            if has_more:
                yield each

    def trials(self, cell: Cell) -> list[Trial]:
        """Returns the trials of a cell: every combination of the values in its grid."""
        grid = getattr(self.experiment.ladder.grids, ROWS[_tuned_row(cell)].grid or "method")
        return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]

    def trial_jobs(self, cell: Cell) -> list[Job]:
        """Returns one job per trial of a cell, all with the same seed.

        A row without a grid takes the settings that validation chose for the row `DLLM2Rec`, or
        `CE` if it has no teacher. So its trial jobs are those of that row.
        """
        tuned = Cell(_tuned_row(cell), cell.student, cell.teacher)
        seed = self._configured_seeds(tuned)[0]
        return [self._job(tuned, trial, seed) for trial in self.trials(cell)]

    def jobs_with(self, cell: Cell, trial: Trial) -> list[Job]:
        """Returns the jobs that train a cell with the settings of `trial`, one per seed."""
        return [self._job(cell, trial, seed) for seed in self.seeds(cell)]

    def seeds(self, cell: Cell) -> Sequence[int]:
        """Returns the seeds that the chosen trial of a cell is trained with."""
        return self.requested_seeds or self._configured_seeds(cell)

    def _configured_seeds(self, cell: Cell) -> Sequence[int]:
        ladder = self.experiment.ladder
        return ladder.headline_seeds if cell.row in HEADLINES else ladder.seeds

    def _job(self, cell: Cell, trial: Trial, seed: int) -> Job:
        row = ROWS[cell.row]
        experiment = settings_of(self.experiment, row, cell.student, trial)
        knowledge = cell.teacher.knowledge if cell.teacher else None
        return Job(experiment, self.dataset, row.variant, seed, knowledge)


def _tuned_row(cell: Cell) -> str:
    row = ROWS[cell.row]
    if row.grid:
        return cell.row
    return DISTILLED_ROW if row.needs_teacher else CE_ROW
