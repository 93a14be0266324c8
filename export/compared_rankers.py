"""Collects the rankers which an exported student is compared with, for its manifest."""

from export.figures import (
    REFIT,
    VALIDATION,
    Comparison,
    Counterpart,
    RowName,
    measure,
    teacher_evaluations,
)
from training.cli import say
from training.data.dataset import Dataset, Split
from training.distillation.checkpoint import Checkpoint
from training.distillation.variants import VARIANTS, made_without_llm
from training.evaluation.baselines.runs import baseline_evaluations, stored_evaluations
from training.evaluation.rank_files import held_out_examples
from training.evaluation.row_names import row_name
from training.evaluation.yardstick import ranker_of
from training.knowledge import Knowledge
from training.settings.experiment import Experiment
from training.settings.student import STUDENT_NAMES
from training.students.scorer import StudentScorer
from training.workplace import Workplace

_MAX_SCORES = 5_000_000_000
"""Maximum number of scores of one ranker that an export computes: about a minute of a core."""


def compare(
    checkpoint: Checkpoint,
    dataset: Dataset,
    knowledge: Knowledge | None,
    experiment: Experiment,
    workplace: Workplace,
    counterpart: Checkpoint | None,
) -> Comparison:
    """Collects the ranks of baselines, teacher and `counterpart`, to compare the student with.

    Reads the baselines' ranks that `evaluate` has stored; tunes and measures baselines without
    stored ranks. If the student is a refit, so are the baselines. The teacher's ranks always come
    from the answers in `knowledge`; without it there are none. The counterpart is measured here, in
    torch. Unless `can_be_ranked`, nothing is measured here: baselines without stored ranks and the
    counterpart are left out, which is told.
    """
    description = checkpoint.description
    refitted = description.protocol != "train"
    teacher = teacher_evaluations(knowledge, dataset) if knowledge else {}
    if refitted:
        teacher = {split: each for split, each in teacher.items() if split == Split.TEST}
    kind = experiment.teacher.kind
    is_free = made_without_llm(kind, reads_titles=False)
    teacher_name = RowName(f"teacher {kind}", teacher_free=is_free)
    is_measured = can_be_ranked(dataset)
    if not is_measured:
        say(
            f"{dataset.catalog.num_items:,} items after {_num_examples(dataset):,} examples take "
            "too long to rank here: the student is compared with what `evaluate` has stored"
        )
    baselines = baseline_evaluations if is_measured else stored_evaluations
    return Comparison(
        student=_row_of(checkpoint, experiment, REFIT if refitted else VALIDATION),
        is_taught=VARIANTS[description.variant].needs_teacher,
        seed=description.seed,
        baselines=baselines(dataset, workplace.baselines, refitted=refitted),
        teacher=(teacher_name, teacher) if teacher else None,
        num_draws=experiment.ladder.num_resamples,
        counterpart=(
            _measured(counterpart, dataset, experiment) if counterpart and is_measured else None
        ),
    )


def can_be_ranked(dataset: Dataset) -> bool:
    """Returns whether an export may rank all items after every held-out example in torch."""
    return _num_examples(dataset) * dataset.catalog.num_items <= _MAX_SCORES


def _num_examples(dataset: Dataset) -> int:
    return sum(map(len, held_out_examples(dataset).values()))


def _measured(checkpoint: Checkpoint, dataset: Dataset, experiment: Experiment) -> Counterpart:
    ranker = ranker_of(StudentScorer(checkpoint.student(), dataset), dataset)
    ranks = measure(ranker, dataset, "without a teacher")
    return Counterpart(_row_of(checkpoint, experiment), checkpoint.description.seed, ranks)


def _row_of(checkpoint: Checkpoint, experiment: Experiment, protocol: str = VALIDATION) -> RowName:
    description = checkpoint.description
    variant = VARIANTS[description.variant]
    teacher = experiment.teacher.kind if variant.needs_teacher else ""
    return RowName(
        row_name(description.variant, experiment.training.loss, has_pairs=bool(description.pairs)),
        STUDENT_NAMES[description.student.kind],
        teacher_free=made_without_llm(teacher, reads_titles=variant.embeddings),
        protocol=protocol,
    )
