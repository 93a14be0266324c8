"""Measures references, the LLMs that rank without a student, and stores their ranks."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from training.cli import say
from training.data.dataset import HELD_OUT, Dataset
from training.errors import ConfigError, ResultError
from training.evaluation.baselines.title_neighbours import TitleNeighbours
from training.evaluation.rank_files import split_key
from training.evaluation.stored import answers_ranker
from training.evaluation.yardstick import Ranker, evaluate, ranker_of
from training.knowledge import Knowledge, Summary
from training.ladder.plan.references import Reference, Teacher
from training.ladder.plan.rows import HISTORY_TITLES_ROW, TITLES_ROW
from training.ladder.runs.find_teachers import title_decays
from training.ladder.runs.store import RunStore
from training.ladder.runs.teacher_ranks import (
    ReferenceRanking,
    StoredReference,
    load_reference,
    save_reference,
)
from training.settings.experiment import Experiment
from training.settings.teacher import REMOTE_PREFIX, SENTENCE_PREFIX
from training.teacher.encoders.opening import title_encoder
from training.teacher.titles.teach import best_decay, embed_catalog
from training.workplace import Workplace, with_teacher


def teacher_rankings(teacher: Teacher, store: RunStore) -> Sequence[ReferenceRanking]:
    """Returns the rankings by a teacher's answers and by its LLM's title embeddings.

    Rankings that are in the store are read from it; otherwise they are measured and stored.

    Raises:
        ResultError: the stored file is damaged, or it was made from other answers of the teacher.
    """
    knowledge, reference = teacher.knowledge, teacher.reference
    if isinstance(knowledge, Summary) or store.has(reference):
        return _stored_rankings(teacher, store)
    rankings = measured_rankings(teacher, knowledge)
    save_reference(reference, StoredReference(knowledge.summary, rankings), store)
    return rankings


def measured_rankings(teacher: Teacher, knowledge: Knowledge) -> Sequence[ReferenceRanking]:
    """Measures the rankings by a teacher's answers and by its LLM's title embeddings."""
    return [
        *_answers_ranking(teacher, knowledge),
        *_title_rankings(teacher.reference, knowledge.item_embeddings),
    ]


def _stored_rankings(teacher: Teacher, store: RunStore) -> Sequence[ReferenceRanking]:
    stored = load_reference(teacher.reference, store)
    if stored.summary and stored.summary.content_hash == teacher.knowledge.content_hash:
        return stored.rankings
    raise ResultError(
        f"{store.file(teacher.reference).path}: stored for a {teacher.kind} teacher with other "
        "answers than the present knowledge; the runs stored with it learned from those answers. "
        "Report them with `--kept`, start a new store with another `--out`, or delete the file to "
        "measure the present teacher"
    )


def title_layer_rankings(
    experiment: Experiment,
    dataset: Dataset,
    workplace: Workplace,
    store: RunStore,
    *,
    stored_only: bool,
) -> Iterator[tuple[Reference, Sequence[ReferenceRanking]]]:
    """Yields references that embed titles with the first layers of an LLM, and their rankings.

    There is one reference for each number of layers in `ladder.title_layers`. With `stored_only`, a
    reference that is not stored is left out, and a message says so.

    Raises:
        ConfigError: the titles teacher's model is not a local LLM, so it has no layers.
        ResultError: a stored file is damaged.
    """
    for layers in experiment.ladder.title_layers:
        of_titles = with_teacher(experiment, "titles").teacher
        if of_titles.model.startswith((REMOTE_PREFIX, SENTENCE_PREFIX)):
            raise ConfigError(
                f"ladder.title_layers = {layers}: {of_titles.model!r} is used with all layers; "
                "remove the setting"
            )
        config = of_titles.model_copy(update={"layers": layers})
        reference = Reference(f"first {layers} layers", config, title_decays(experiment), dataset)
        if stored_only and not store.has(reference):
            say(f"left out: titles embedded by the {reference.name}, which have no stored ranks")
            continue
        if not store.has(reference):
            embeddings, _ = embed_catalog(dataset, config, workplace.reading, title_encoder(config))
            rankings = list(_title_rankings(reference, embeddings))
            save_reference(reference, StoredReference(None, rankings), store)
        yield reference, load_reference(reference, store).rankings


def _answers_ranking(teacher: Teacher, knowledge: Knowledge) -> Iterator[ReferenceRanking]:
    """Yields the ranking by a teacher's answers; yields nothing if a split has no answers."""
    dataset = teacher.reference.dataset
    evaluations = {}
    for split in HELD_OUT:
        answers = getattr(knowledge, split_key(split))
        rows = np.intersect1d(dataset.example_rows(split), answers.rows)
        if not len(rows):
            return
        evaluations[split] = evaluate(answers_ranker(answers), dataset, rows)
    yield ReferenceRanking(f"teacher {teacher.kind}", evaluations, teacher.seconds, teacher.tokens)


def _title_rankings(
    reference: Reference, embeddings: NDArray[np.float32]
) -> Iterator[ReferenceRanking]:
    """Yields two rankings: by distance from the last title, and from all titles of the history.

    In the second, each title weighs `decay` times as much as the next newer one. Validation chooses
    the decay. At 0 only the last title counts, and the second ranking is left out. `embeddings` is
    `[catalog rows, size]`.
    """
    dataset = reference.dataset
    yield _title_ranking(TITLES_ROW, TitleNeighbours(dataset, embeddings))
    if decay := best_decay(dataset, embeddings, reference.decays):
        yield _title_ranking(HISTORY_TITLES_ROW, TitleNeighbours(dataset, embeddings, decay))


def _title_ranking(row: str, neighbours: TitleNeighbours) -> ReferenceRanking:
    dataset = neighbours.dataset
    ranker: Ranker = ranker_of(neighbours, dataset)
    evaluations = {
        split: evaluate(ranker, dataset, dataset.example_rows(split)) for split in HELD_OUT
    }
    return ReferenceRanking(row, evaluations)
