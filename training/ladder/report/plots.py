"""The ladder as pictures: quality against cost, and the gain of each part."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.data.dataset import Split
from training.ladder.plan.rows import STEPS
from training.ladder.results.measured import Figures, Measured
from training.ladder.results.part_gains import METRIC, PartGain, part_gains
from training.stage import whole_file

DOTS_PER_INCH = 120
LABELLED = ("BCE", "CE", "embeddings only", "DLLM2Rec")


def save_cost_plot(lines: Sequence[Measured], figures: Figures, path: Path) -> None:
    """Test quality over training seconds; a student's teacher is not counted in its seconds."""
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot(
        xscale="log", xlabel="training seconds of one run (teacher: all of it)", ylabel=METRIC
    )
    taught = [line for line in lines if line.student and line.teacher]
    others = {line.key for line in taught if line.teacher != taught[0].teacher}
    for student in dict.fromkeys(line.student for line in lines):
        group = [line for line in lines if line.student == student]
        found = [figures.draws(line, Split.TEST, "all", METRIC).interval() for line in group]
        means = [each.mean for each in found]
        errors = [
            [each.mean - each.low for each in found],
            [each.high - each.mean for each in found],
        ]
        seconds = [max(line.train_seconds, 0.01) for line in group]
        axes.errorbar(seconds, means, errors, fmt="o", capsize=2, label=student or "no student")
        for line, x, y in zip(group, seconds, means, strict=True):
            if not student or line.row in LABELLED:
                _annotate(axes, _told_apart(line, figures), (x, y), left=line.key in others)
    axes.grid(alpha=0.3)
    axes.legend()
    axes.set_title(f"{figures.dataset.name}: quality against cost, test, 95 % intervals")
    _save(figure, path)


def _annotate(axes: Axes, name: str, point: tuple[float, float], *, left: bool) -> None:
    """Of two teachers' students, whose points are near to each other, one is named on the left."""
    offset, alignment = ((-4, 4), "right") if left else ((4, 4), "left")
    axes.annotate(name, point, offset, textcoords="offset points", fontsize=7, ha=alignment)


def _told_apart(line: Measured, figures: Figures) -> str:
    """The row, by whom, and how many examples it answered where that is a part."""
    name = f"{line.row}, {line.teacher}" if line.teacher and not line.is_teacher else line.row
    asked = len(line.answered(Split.TEST))
    is_part = asked < figures.count(Split.TEST, "all")
    return f"{name} ({asked:,} examples)" if is_part else name


def save_parts_plot(lines: Sequence[Measured], figures: Figures, path: Path) -> None:
    """The gain of each part, a panel a student, a colour a teacher."""
    found = {
        student: list(part_gains(student, lines, figures))
        for student in dict.fromkeys(line.student for line in lines)
        if student
    }
    measured = {step.part for each in found.values() for step in each}
    parts = [part for part in STEPS if part in measured]
    teachers = list(dict.fromkeys(step.teacher for each in found.values() for step in each))
    figure = Figure(figsize=(5.5 + 3 * len(found), 5), layout="constrained")
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for (student, of_student), axes in zip(found.items(), panels, strict=True):
        for number, teacher in enumerate(teachers):
            of_teacher = [step for step in of_student if step.teacher == teacher]
            if of_teacher:
                _draw_steps(axes, of_teacher, parts, number, number - (len(teachers) - 1) / 2)
        axes.axvline(0, color="grey", linewidth=0.8)
        axes.set_title(student)
        axes.set_xlabel(f"gain in test {METRIC}")
        axes.grid(alpha=0.3, axis="x")
        if of_student:
            axes.legend(title="teacher", fontsize="small")
    if found:
        panels[0].set_yticks(range(len(parts)), parts)
        panels[0].set_ylim(len(parts) - 0.5, -0.5)  # the first on top
    _save(figure, path)


def _draw_steps(
    axes: Axes, found: Sequence[PartGain], parts: Sequence[str], number: int, place: float
) -> None:
    """Those of one teacher, the `number`-th, `place` lines below the middle of all of a part."""
    differences = [step.difference for step in found]
    errors = [
        [each.mean - each.low for each in differences],
        [each.high - each.mean for each in differences],
    ]
    axes.errorbar(
        [each.mean for each in differences],
        [parts.index(step.part) + 0.15 * place for step in found],
        xerr=errors,
        fmt="o",
        capsize=3,
        color=f"C{number}",
        label=found[0].teacher or "none",
    )


def _save(figure: Figure, path: Path) -> None:
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
