"""The teachers of a ladder, found on this machine: by their knowledge, or by a stored summary."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from training.cli import say
from training.data.dataset import Dataset
from training.errors import KnowledgeError
from training.knowledge import load_knowledge
from training.ladder.plan.references import Reference, Teacher
from training.ladder.runs.store import RunStore
from training.ladder.runs.teacher_ranks import load_reference
from training.settings.experiment import Experiment
from training.settings.teacher import TeacherKind
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
    """The experiment's own teacher, then teachers of other kinds that have answered.

    A teacher of another kind that cannot be used is named in a message and left out.

    Args:
        experiment: its teacher, and settings of others.
        dataset: of the answers.
        workplace: has the folders of knowledge.
        store: has summaries of teachers that were measured.
        stored_only: use the stored summary of a teacher in place of its knowledge.
        only: these kinds in this order, in place of the experiment's own and all others.

    Raises:
        KnowledgeError: the experiment's own teacher, or one of `only`, has no knowledge.
        ResultError: the file of a stored teacher is damaged.
    """
    own = experiment.teacher.kind
    kinds = (own, *(each for each in get_args(TeacherKind) if each != own))
    for kind in dict.fromkeys(only or kinds):
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
            say(f"without the {kind} teacher: neither kept nor at {folder}")


def title_decays(experiment: Experiment) -> Sequence[float]:
    """The candidates for how much an older title of a history counts."""
    return with_teacher(experiment, "titles").teacher.title_decays


def _history_decays(experiment: Experiment, kind: TeacherKind) -> Sequence[float]:
    """As `title_decays`; only 0 for the titles teacher, whose answers are by its whole history."""
    return (0.0,) if kind == "titles" else title_decays(experiment)


def _stored_teacher(reference: Reference, store: RunStore) -> Teacher | None:
    summary = load_reference(reference, store).summary if store.has(reference) else None
    return Teacher(summary, reference) if summary else None


def _other_teacher(reference: Reference, folder: Path) -> Iterator[Teacher]:
    try:
        knowledge = load_knowledge(folder, reference.dataset, reference.config)
        yield Teacher(knowledge, reference)
    except KnowledgeError as error:
        say(f"without the {reference.name} teacher: {error}")
