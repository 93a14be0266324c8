"""Evaluate: the first rows of the ladder, on the test examples, `work/<name>/results`.

python -m training.evaluate configs/movielens.toml
"""

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence

import numpy as np

from training.cli import program_parser, run, say
from training.data.dataset import Dataset, Split
from training.data.storage import load_dataset
from training.distillation.checkpoint import Checkpoint, best_on_validation
from training.distillation.job import current_checkpoints, jobs_of
from training.distillation.variants import DEFAULT_VARIANTS, DISTILLED, VARIANTS
from training.evaluation.baselines import popularity, tuned_transitions
from training.evaluation.stored import answers_ranker
from training.evaluation.table import ResultRow, as_text, save_results
from training.evaluation.yardstick import Scorer, evaluate, ranker_of
from training.knowledge import Knowledge, load_knowledge
from training.ladder.plan.rows import row_name
from training.provenance import commit, hardware
from training.settings.experiment import Experiment
from training.students.registry import STUDENT_NAMES
from training.students.scorer import StudentScorer
from training.workplace import Workplace, knowledge_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = program_parser("training.evaluate", "Measure students, teacher and baselines.")
    return run(evaluate_all, parser, arguments)


def evaluate_all(experiment: Experiment, workplace: Workplace, _: Namespace) -> None:
    """Writes and prints the table, and names the checkpoint to export."""
    dataset = load_dataset(workplace.dataset)
    knowledge = load_knowledge(knowledge_folder(experiment, workplace), dataset, experiment.teacher)
    jobs = jobs_of(experiment, dataset, knowledge, DEFAULT_VARIANTS)
    checkpoints = current_checkpoints(jobs, workplace.checkpoints)
    chosen = best_on_validation(checkpoints, DISTILLED)
    rows = [
        scorer_row("popularity", [popularity(dataset)], dataset),
        scorer_row("last-item", [tuned_transitions(dataset)], dataset),
        *teacher_rows(f"teacher {experiment.teacher.kind}", knowledge, dataset),
        *student_rows(checkpoints, dataset, experiment.training.loss),
    ]
    save_results(rows, _facts(dataset, checkpoints, chosen), workplace.results)
    say(as_text(rows))
    say(f"to export, by validation: {chosen.name}")
    say(f"written: {workplace.results}")


def scorer_row(name: str, scorers: Sequence[Scorer], dataset: Dataset) -> ResultRow:
    """Test figures of one ranker, one evaluation per scorer."""
    rows = dataset.example_rows(Split.TEST)
    rankers = [ranker_of(scorer, dataset) for scorer in scorers]
    return ResultRow(name, tuple(evaluate(ranker, dataset, rows) for ranker in rankers))


def teacher_rows(name: str, knowledge: Knowledge, dataset: Dataset) -> Iterator[ResultRow]:
    """Test figures of the stored answers, on the test examples that have one; if any has."""
    rows = np.intersect1d(dataset.example_rows(Split.TEST), knowledge.test.rows)
    if len(rows):
        yield ResultRow(name, (evaluate(answers_ranker(knowledge.test), dataset, rows),))


def student_rows(
    checkpoints: Sequence[Checkpoint], dataset: Dataset, loss: str
) -> Iterator[ResultRow]:
    """Test figures of every variant that was trained, over its seeds; named as in the ladder."""
    for variant in VARIANTS:
        of_variant = [each for each in checkpoints if each.description.variant == variant]
        if of_variant:
            scorers = [StudentScorer(each.student(), dataset) for each in of_variant]
            student = STUDENT_NAMES[of_variant[0].description.student.kind]
            yield scorer_row(f"{student} {row_name(variant, loss)}", scorers, dataset)


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
