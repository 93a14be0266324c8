"""Measures every ranker of an experiment on the test examples, and writes a verdict.

The table shows the baselines, the teacher and the students. The verdict compares the student that
is to be exported with the baselines, and with the best student that had no teacher. Table and
verdict are written to `work/<name>/results`.

python -m training.evaluate configs/movielens.toml
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from training.cli import run, say
from training.data.dataset import Dataset, Split
from training.data.storage import load_dataset
from training.distillation.checkpoint import (
    Checkpoint,
    best_on_validation,
    describe_choice,
    signs_in,
)
from training.distillation.experiment_jobs import current_checkpoints, jobs_of
from training.distillation.variants import DEFAULT_VARIANTS, DISTILLED, TEACHER_FREE, VARIANTS
from training.evaluation.baselines.runs import BySplit, baseline_evaluations
from training.evaluation.intervals import Interval, percent
from training.evaluation.rank_files import RankFile, split_key
from training.evaluation.row_names import row_name
from training.evaluation.shuffled import relative_change, with_shuffled_histories
from training.evaluation.stored import answers_ranker
from training.evaluation.table import ResultRow, as_text, save_results
from training.evaluation.verdict import (
    METRIC,
    TeacherEffect,
    best_baseline,
    differences_to,
    effect_of_teacher,
    verdict,
    without_teacher,
)
from training.evaluation.yardstick import Evaluation, Ranker, evaluate, ranker_of
from training.knowledge import Knowledge, load_knowledge
from training.progress import ProgressBar, counting
from training.provenance import commit, hardware
from training.settings.experiment import Experiment
from training.settings.options import WORK, Config, Work
from training.settings.student import STUDENT_NAMES
from training.stage import whole_folder
from training.students.scorer import StudentScorer
from training.workplace import Workplace, knowledge_folder, open_experiment

Shuffled = Annotated[
    bool,
    Parameter(
        help="Also measure students with shuffled histories, to show what the order of items "
        "contributes."
    ),
]


def command(config: Config, /, *, work: Work = WORK, shuffled: Shuffled = False) -> None:
    """Measure students, teacher and baselines on the test examples."""
    evaluate_all(*open_experiment(config, work), shuffled=shuffled)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs this program with `arguments` (None: `sys.argv[1:]`); returns the exit code."""
    return run(command, "training.evaluate", arguments)


def evaluate_all(experiment: Experiment, workplace: Workplace, *, shuffled: bool = False) -> None:
    """Measures all rankers; writes and prints the table and the verdict.

    Also prints the name of the checkpoint to export: the distilled student that is best on
    validation. If a student without a teacher is better, it is named too.

    Args:
        experiment: settings of the experiment.
        workplace: folders of the experiment.
        shuffled: whether students are measured with shuffled histories too.
    """
    dataset = load_dataset(workplace.dataset)
    knowledge = load_knowledge(knowledge_folder(experiment, workplace), dataset, experiment.teacher)
    jobs = jobs_of(experiment, dataset, knowledge, DEFAULT_VARIANTS)
    checkpoints = current_checkpoints(jobs, workplace.checkpoints)
    chosen = best_on_validation(checkpoints, DISTILLED)
    baselines = baseline_evaluations(dataset, workplace.baselines)
    rows_of_baselines = baseline_rows(baselines)
    students = evaluate_students(checkpoints, dataset)
    loss, num_draws = experiment.training.loss, experiment.ladder.num_resamples
    rows = [
        *rows_of_baselines,
        *teacher_rows(f"teacher {experiment.teacher.kind}", knowledge, dataset),
        *student_rows(checkpoints, students, loss),
    ]
    compared = [*rows_of_baselines, row_without_teacher(checkpoints, students)]
    differences = differences_to_baselines(students[chosen.name], compared, dataset, num_draws)
    effect = effect_over_seeds(checkpoints, students, dataset, num_draws)
    sentence = verdict(
        f"{display_name(chosen, loss)} (seed {chosen.description.seed})",
        differences,
        len(students[chosen.name].rows),
        best_baseline({name: each[Split.VALIDATION].ranks for name, each in baselines.items()}),
        effect,
    )
    facts = _facts(dataset, checkpoints, chosen) | _differences(differences, effect)
    after = _after_shuffled(checkpoints, students, experiment, dataset) if shuffled else None
    with whole_folder(workplace.results) as folder:
        if after is not None:
            after.save(folder / "shuffled", dataset)
            changes = {name: _bounds(each) for name, each in after.changes.items()}
            rows, facts = [*rows, *after.rows], facts | {"changes": changes}
        save_results(rows, facts, folder, sentence)
    say(as_text(rows))
    say(f"\nto export: {describe_choice(chosen, checkpoints)}")
    say(f"written: {workplace.results}")
    for sign in signs_in(checkpoints, experiment, dataset):
        say(f"\nbefore you believe the verdict: {sign}")
    say(f"\n{sentence}")


def baseline_rows(evaluations: Mapping[str, BySplit]) -> list[ResultRow]:
    """Returns one row per baseline for the table of results, on the test examples."""
    return [ResultRow(name, (each[Split.TEST],)) for name, each in evaluations.items()]


def row_without_teacher(
    checkpoints: Sequence[Checkpoint], evaluations: Mapping[str, Evaluation]
) -> ResultRow:
    """Returns the row of the student without a teacher that is best on validation.

    It is the counterpart of the distilled student to export, which is chosen in the same way.

    Args:
        checkpoints: checkpoints of any variants and seeds.
        evaluations: ranks of each checkpoint, by its name.
    """
    best = best_on_validation(checkpoints, TEACHER_FREE)
    return ResultRow(without_teacher(best.description.seed), (evaluations[best.name],))


def teacher_rows(name: str, knowledge: Knowledge, dataset: Dataset) -> Iterator[ResultRow]:
    """Yields the teacher's row for the table of results, on the test examples that it answered.

    Yields nothing if the teacher answered no test example.
    """
    rows = np.intersect1d(dataset.example_rows(Split.TEST), knowledge.test.rows)
    if len(rows):
        yield ResultRow(name, (evaluate(answers_ranker(knowledge.test), dataset, rows),))


@dataclass(frozen=True)
class AfterShuffled:
    """The results of students on test examples whose histories are shuffled.

    Attributes:
        evaluations: ranks of the test examples, by name of the checkpoint.
        rows: one row of the table of results per method variant.
        changes: by name of the row, the relative change of NDCG@20 by the shuffling.
    """

    evaluations: Mapping[str, Evaluation]
    rows: Sequence[ResultRow]
    changes: Mapping[str, Interval]

    def save(self, folder: Path, dataset: Dataset) -> None:
        """Writes the ranks into `folder`, one file per checkpoint, and prints the changes."""
        for name, each in self.evaluations.items():
            file = RankFile(folder / f"{name}.npz", dataset)
            file.save({"name": name, "shuffled": True}, {split_key(Split.TEST): each.ranks})
        for name, change in self.changes.items():
            say(f"{name}: {percent(change)} of {METRIC}")


def _after_shuffled(
    checkpoints: Sequence[Checkpoint],
    students: Mapping[str, Evaluation],
    experiment: Experiment,
    dataset: Dataset,
) -> AfterShuffled:
    """Measures students on the test examples with each history in a random order.

    Args:
        checkpoints: the students to measure.
        students: the students' ranks with unshuffled histories, by name of the checkpoint.
        experiment: settings of the experiment.
        dataset: the dataset with unshuffled histories.
    """
    found = evaluate_students(checkpoints, dataset, with_shuffled_histories(dataset))
    loss, num_draws = experiment.training.loss, experiment.ladder.num_resamples
    before, after = (list(student_rows(checkpoints, each, loss)) for each in (students, found))
    rows = [replace(row, name=f"{row.name}, shuffled histories") for row in after]
    changes = {
        row.name: relative_change(ordered.evaluations, row.evaluations, dataset, num_draws)
        for ordered, row in zip(before, rows, strict=True)
    }
    return AfterShuffled(found, rows, changes)


def evaluate_students(
    checkpoints: Sequence[Checkpoint], dataset: Dataset, histories: Dataset | None = None
) -> dict[str, Evaluation]:
    """Ranks all test examples with each student; returns the ranks by name of the checkpoint.

    Args:
        checkpoints: the students.
        dataset: dataset of the examples.
        histories: view of the dataset from which students read histories; None for `dataset`.
    """
    rows = dataset.example_rows(Split.TEST)

    def ranker(checkpoint: Checkpoint) -> Ranker:
        return ranker_of(StudentScorer(checkpoint.student(), histories or dataset), dataset)

    with ProgressBar("measuring students", len(checkpoints) * len(rows), "example") as bar:
        return {
            each.name: evaluate(counting(ranker(each), bar), dataset, rows) for each in checkpoints
        }


def student_rows(
    checkpoints: Sequence[Checkpoint], evaluations: Mapping[str, Evaluation], loss: str
) -> Iterator[ResultRow]:
    """Yields one row per method variant for the table of results, over the seeds of the variant.

    Args:
        checkpoints: checkpoints of any variants and seeds.
        evaluations: ranks of each checkpoint, by its name.
        loss: next-item loss of all checkpoints, which is part of a row's name.
    """
    for variant in VARIANTS:
        of_variant = [each for each in checkpoints if each.description.variant == variant]
        if of_variant:
            runs = tuple(evaluations[each.name] for each in of_variant)
            named = max(of_variant, key=lambda each: bool(each.description.pairs))
            yield ResultRow(display_name(named, loss), runs)


def display_name(checkpoint: Checkpoint, loss: str) -> str:
    """Returns the kind of student and the ladder row of a checkpoint, such as `SASRec DLLM2Rec`."""
    description = checkpoint.description
    row = row_name(description.variant, loss, has_pairs=bool(description.pairs))
    return f"{STUDENT_NAMES[description.student.kind]} {row}"


def differences_to_baselines(
    student: Evaluation, baselines: Sequence[ResultRow], dataset: Dataset, num_draws: int
) -> dict[str, Interval]:
    """Computes a student's NDCG@20 on the test examples minus each baseline's, with 95 % intervals.

    The differences are keyed by the name of the baseline.
    """
    ranks = {row.name: row.evaluations[0].ranks for row in baselines}
    users = dataset.user_of_row[student.rows]
    return differences_to(student.ranks, ranks, users, num_draws=num_draws)


def effect_over_seeds(
    checkpoints: Sequence[Checkpoint],
    evaluations: Mapping[str, Evaluation],
    dataset: Dataset,
    num_draws: int,
) -> TeacherEffect:
    """Returns what the teacher adds to NDCG@20 on the test examples, over the common seeds.

    Args:
        checkpoints: distilled students and students without a teacher.
        evaluations: ranks of each checkpoint on the test examples, by its name.
        dataset: the dataset of the examples.
        num_draws: number of bootstrap draws.
    """
    of_variant: dict[str, dict[int, Evaluation]] = {DISTILLED: {}, TEACHER_FREE: {}}
    for each in checkpoints:
        of_variant[each.description.variant][each.description.seed] = evaluations[each.name]
    taught, untaught = of_variant[DISTILLED], of_variant[TEACHER_FREE]
    seeds = sorted(taught.keys() & untaught.keys())
    return effect_of_teacher(
        [taught[seed].ranks for seed in seeds],
        [untaught[seed].ranks for seed in seeds],
        dataset.user_of_row[taught[seeds[0]].rows],
        num_draws=num_draws,
    )


def _differences(to_baselines: Mapping[str, Interval], effect: TeacherEffect) -> dict[str, object]:
    return {
        "differences": [
            {"against": name, "metric": METRIC, **_bounds(each)}
            for name, each in to_baselines.items()
        ],
        "of_teacher": {**_bounds(effect.difference), "seeds": effect.num_seeds},
    }


def _bounds(interval: Interval) -> dict[str, float | None]:
    """Returns mean, low and high end; None for one that is not finite, which JSON does not have."""
    bounds = {name: float(getattr(interval, name)) for name in ("mean", "low", "high")}
    return {name: each if np.isfinite(each) else None for name, each in bounds.items()}


def _facts(
    dataset: Dataset, checkpoints: Sequence[Checkpoint], chosen: Checkpoint
) -> dict[str, object]:
    return {
        "dataset": dataset.name,
        "dataset_fingerprint": dataset.fingerprint,
        "split": Split.TEST.name.lower(),
        "export": chosen.name,
        "students": {each.name: each.description.model_dump() for each in checkpoints},
        "commit": commit(),
        "hardware": hardware(),
    }


if __name__ == "__main__":
    sys.exit(main())
