"""Who ranks without a student by what an LLM says: teachers, and titles alone as LLMs see them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from training.cli import say
from training.data.dataset import HELD_OUT, Dataset
from training.errors import KnowledgeError, ResultError
from training.evaluation.stored import answers_ranker
from training.evaluation.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import evaluate, ranker_of
from training.knowledge import Knowledge, Summary, load_knowledge
from training.ladder.plan.rows import HISTORY_TITLES_ROW, TITLES_ROW
from training.ladder.results.measured import Measured
from training.ladder.runs.store import RunStore
from training.ladder.runs.teacher_ranks import (
    KeptReference,
    Reference,
    Teacher,
    keep_reference,
    kept_reference,
)
from training.settings.experiment import Experiment
from training.settings.teacher import TeacherKind
from training.teacher.titles.teach import best_decay, embed_catalog
from training.teacher.tuning.tuned_model import language_model
from training.workplace import Workplace, knowledge_folder, with_teacher


def teachers_of(
    experiment: Experiment,
    dataset: Dataset,
    workplace: Workplace,
    shelf: RunStore,
    *,
    kept: bool,
    only: Sequence[TeacherKind] = (),
) -> Iterator[Teacher]:
    """The experiment's own, then those of other kinds that have answered; as kept, where `kept`.

    One of other kind and settings is named and left out. Where `only` names some, they are looked
    for in that order, and nobody else.

    Raises:
        KnowledgeError: there is none of the experiment's own, or of `only`.
        ResultError: the file of one that is kept is damaged.
    """
    own = experiment.teacher.kind
    kinds = (own, *(each for each in get_args(TeacherKind) if each != own))
    for kind in dict.fromkeys(only or kinds):
        config = with_teacher(experiment, kind)
        decays = _decays(experiment) if kind != "titles" else (0.0,)  # it is its own of the history
        reference = Reference(kind, config.teacher, decays, dataset)
        folder = knowledge_folder(config, workplace)
        if kept and shelf.has(reference) and (summary := kept_reference(reference, shelf).summary):
            yield Teacher(summary, reference)
        elif kind == own or only:
            yield Teacher(load_knowledge(folder, dataset, config.teacher), reference)
        elif folder.is_dir():
            yield from _other_teacher(reference, folder)
        elif kind in experiment.other_teachers:
            say(f"without the {kind} teacher: neither kept nor at {folder}")


def _other_teacher(reference: Reference, folder: Path) -> Iterator[Teacher]:
    try:
        knowledge = load_knowledge(folder, reference.dataset, reference.config)
        yield Teacher(knowledge, reference)
    except KnowledgeError as error:
        say(f"without the {reference.name} teacher: {error}")


def teacher_lines(teacher: Teacher, shelf: RunStore) -> Sequence[Measured]:
    """How it ranked, and titles as its LLM sees them: measured where that is not kept.

    Raises:
        ResultError: what is kept is damaged, or of other answers than those that are here.
    """
    knowledge, reference = teacher.knowledge, teacher.reference
    if isinstance(knowledge, Summary) or shelf.has(reference):
        kept = kept_reference(reference, shelf)
        if kept.summary and kept.summary.content_hash == knowledge.content_hash:
            return kept.lines
        raise ResultError(
            f"{shelf.file(reference).path}: kept of a {teacher.kind} teacher that answered "
            "otherwise, as are the runs that learned from it; `--kept` reports them, another "
            "`--out` begins anew, and without that file this one takes its place"
        )
    lines = [
        *_answers_lines(teacher, knowledge),
        *_title_lines(reference, knowledge.item_embeddings),
    ]
    keep_reference(reference, KeptReference(knowledge.summary, lines), shelf)
    return lines


def layers_lines(
    experiment: Experiment, dataset: Dataset, workplace: Workplace, shelf: RunStore, *, kept: bool
) -> Iterator[Measured]:
    """Titles as the first `ladder.title_layers` of the LLM that reads titles see them.

    Those that are not kept are named and left out where `kept`.

    Raises:
        ResultError: the file of what is kept is damaged.
    """
    for layers in experiment.ladder.title_layers:
        of_titles = with_teacher(experiment, "titles").teacher
        config = of_titles.model_copy(update={"layers": layers})
        reference = Reference(f"first {layers} layers", config, _decays(experiment), dataset)
        if kept and not shelf.has(reference):
            say(f"without titles as the {reference.name} see them: not kept")
            continue
        if not shelf.has(reference):
            seen, _ = embed_catalog(dataset, config, workplace.reading, language_model(config))
            keep_reference(
                reference, KeptReference(None, list(_title_lines(reference, seen))), shelf
            )
        yield from kept_reference(reference, shelf).lines


def _decays(experiment: Experiment) -> Sequence[float]:
    return with_teacher(experiment, "titles").teacher.title_decays


def _answers_lines(teacher: Teacher, knowledge: Knowledge) -> Iterator[Measured]:
    """A teacher's stored answers, on the examples that have one; none of who told no answer."""
    dataset = teacher.reference.dataset
    evaluations = {}
    for split in HELD_OUT:
        answers = getattr(knowledge, split.name.lower())
        rows = np.intersect1d(dataset.example_rows(split), answers.rows)
        if not len(rows):
            return
        evaluations[split] = [evaluate(answers_ranker(answers), dataset, rows)]
    yield Measured(
        f"teacher {teacher.kind}",
        evaluations,
        teacher.seconds,
        teacher=teacher.kind,
        teacher_tokens=teacher.tokens,
    )


def _title_lines(reference: Reference, embeddings: NDArray[np.float32]) -> Iterator[Measured]:
    """What embeddings of an LLM know alone: the nearest titles to the last item's.

    And those nearest to all titles of the history, where validation prefers one of the decays to 0.
    """
    dataset, name = reference.dataset, reference.name
    yield _title_line(TITLES_ROW, name, TitleNeighbours(dataset, embeddings))
    if decay := best_decay(dataset, embeddings, reference.decays):
        of_history = TitleNeighbours(dataset, embeddings, decay)
        yield _title_line(HISTORY_TITLES_ROW, name, of_history)


def _title_line(row: str, name: str, neighbours: TitleNeighbours) -> Measured:
    dataset = neighbours.dataset
    ranker = ranker_of(neighbours, dataset)
    evaluations = {
        split: [evaluate(ranker, dataset, dataset.example_rows(split))] for split in HELD_OUT
    }
    return Measured(row, evaluations, 0.0, teacher=name)
