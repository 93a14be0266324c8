"""Finds the teachers of a ladder by their knowledge or by a stored summary of it."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import get_args

from training.cli import say
from training.data.dataset import Dataset
from training.errors import ConfigError, KnowledgeError
from training.knowledge import load_knowledge
from training.ladder.plan.references import Reference, Teacher
from training.ladder.runs.store import RunStore
from training.ladder.runs.teacher_ranks import load_reference
from training.settings.experiment import Experiment
from training.settings.teacher import TITLES_KINDS, TeacherKind
from training.workplace import Workplace, knowledge_folder, with_teacher


def find_teachers(
    experiment: Experiment,
    dataset: Dataset,
    workplace: Workplace,
    store: RunStore,
    *,
    stored_only: bool,
    only: Sequence[TeacherKind] = (),
) -> Iterator[Teacher]:
    """Yields the experiment's own teacher, then each teacher of another kind that has knowledge.

    A teacher of another kind whose knowledge cannot be used is left out, and a message says so.
    Kinds that cannot have the experiment's settings have no knowledge.

    Args:
        experiment: settings of the experiment's own teacher and of the other teachers.
        dataset: dataset that the teachers have answered.
        workplace: folders of the teachers' knowledge.
        store: store with the summaries of measured teachers.
        stored_only: whether the stored summary of a teacher is used in place of its knowledge.
        only: kinds to yield, in this order; empty for the experiment's own teacher and all others.

    Raises:
        KnowledgeError: the experiment's own teacher, or one of `only`, has no knowledge.
        ResultError: the file of a stored teacher is damaged.
        ConfigError: one of `only` cannot have the experiment's settings.
    """
    own = experiment.teacher.kind
    for kind in dict.fromkeys(only or _possible_kinds(experiment)):
        config = with_teacher(experiment, kind)
        reference = Reference(kind, config.teacher, _history_decays(experiment, kind), dataset)
        folder = knowledge_folder(config, workplace)
        stored = _stored_teacher(reference, store) if stored_only else None
        if stored is not None:
            yield stored
        elif kind == own or only:
            yield Teacher(load_knowledge(folder, dataset, config.teacher), reference)
        elif folder.is_dir():
            yield from _other_teacher(reference, folder)
        elif kind in experiment.other_teachers:
            say(f"left out: the {kind} teacher, which has no stored ranks and no {folder}")


def _possible_kinds(experiment: Experiment) -> Iterator[TeacherKind]:
    """Yields the kind of the experiment's own teacher, then those that can have its settings."""
    yield experiment.teacher.kind
    for kind in get_args(TeacherKind):
        with suppress(ConfigError):
            yield with_teacher(experiment, kind).teacher.kind


def title_decays(experiment: Experiment) -> Sequence[float]:
    """Returns the decays to try: the weight of a title divided by that of the next newer title."""
    return with_teacher(experiment, "titles").teacher.title_decays


def _history_decays(experiment: Experiment, kind: TeacherKind) -> Sequence[float]:
    """Returns the values of `title_decays` to try with the title embeddings of a kind of teacher.

    Titles and words teachers already rank by the whole history, so only 0 (the last title alone) is
    tried for them.
    """
    return (0.0,) if kind in TITLES_KINDS else title_decays(experiment)


def _stored_teacher(reference: Reference, store: RunStore) -> Teacher | None:
    summary = load_reference(reference, store).summary if store.has(reference) else None
    return Teacher(summary, reference) if summary else None


def _other_teacher(reference: Reference, folder: Path) -> Iterator[Teacher]:
    try:
        knowledge = load_knowledge(folder, reference.dataset, reference.config)
        yield Teacher(knowledge, reference)
    except KnowledgeError as error:
        say(f"left out: the {reference.name} teacher: {error}")
