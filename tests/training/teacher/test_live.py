"""Histories of up to six titles, of which the teacher reads at most four."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from training.config import TeacherConfig, load_experiment
from training.data.dataset import Dataset
from training.errors import KnowledgeError
from training.program import Workplace
from training.teacher.knowledge import Answers, Knowledge, load_knowledge
from training.teacher.live import LiveTeacher, UnknownHistoryError
from training.teacher.minds import load_live_teacher


def workplace_of(taught: Path) -> Workplace:
    return Workplace(taught.parent / "work" / "chain")


@pytest.fixture
def knowledge(taught: Path, chain_dataset: Dataset) -> Knowledge:
    return load_knowledge(workplace_of(taught).knowledge, chain_dataset)


def ids(item_indices: Sequence[int]) -> list[str]:
    return [f"i{item_index}" for item_index in item_indices]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_history_is_answered_as_stored(
    live_teacher: LiveTeacher, knowledge: Knowledge, chain_dataset: Dataset, split: str
) -> None:
    check_answers(live_teacher, getattr(knowledge, split), chain_dataset)


@pytest.mark.slow
def test_the_real_llm_answers_a_history_as_stored(
    smollm2_taught: Path, chain_dataset: Dataset
) -> None:
    workplace = workplace_of(smollm2_taught)
    teacher = load_live_teacher(load_experiment(smollm2_taught), workplace)
    stored = load_knowledge(workplace.knowledge, chain_dataset).test
    check_answers(teacher, stored, chain_dataset)


def check_answers(teacher: LiveTeacher, stored: Answers, dataset: Dataset) -> None:
    assert len(stored.rows) > 0
    for row, ranking, distances in zip(
        stored.rows, stored.rankings.tolist(), stored.distances, strict=True
    ):
        history = ids(dataset.history(int(row)).tolist())
        answer = teacher.recommend(history, len(ranking), exclude=[])
        assert answer.item_ids == ids([index for index in ranking if index])
        found = len(answer.distances)
        np.testing.assert_allclose(answer.distances, distances[:found], atol=2e-3)


def test_excluded_items_make_room_for_the_next_ones(live_teacher: LiveTeacher) -> None:
    everything = live_teacher.recommend(["i1"], 12, exclude=[])
    first, second, third, *_ = everything.item_ids
    assert live_teacher.recommend(["i1"], 2, exclude=[first]).item_ids == [second, third]
    assert len(everything.item_ids) == 11  # the seen one is left out


def test_seen_items_are_answered_when_they_may_be(live_teacher: LiveTeacher) -> None:
    everything = live_teacher.recommend(["i1"], 12, exclude=["i2"], mask_seen=False)
    assert sorted(everything.item_ids) == sorted({f"i{index}" for index in range(1, 13)} - {"i2"})


def test_ids_that_the_catalog_does_not_have_are_skipped(live_teacher: LiveTeacher) -> None:
    plain = live_teacher.recommend(["i1", "i2"], 3, exclude=[])
    assert live_teacher.recommend(["i1", "x", "i2"], 3, exclude=["y"]) == plain


def test_a_history_without_a_known_item_is_refused(live_teacher: LiveTeacher) -> None:
    with pytest.raises(UnknownHistoryError, match="none of 2 ids is in the teacher's catalog"):
        live_teacher.recommend(["x", "y"], 3, exclude=[])


def test_titles_are_embedded_as_those_of_the_catalog(
    live_teacher: LiveTeacher, knowledge: Knowledge, chain_dataset: Dataset
) -> None:
    embeddings = live_teacher.embed(["Something new", *chain_dataset.catalog.titles])
    np.testing.assert_allclose(embeddings[1:], knowledge.item_embeddings[1:], rtol=2e-3, atol=2e-3)
    assert not np.allclose(embeddings[0], embeddings[1], atol=0.1)


@pytest.mark.parametrize(("setting", "value"), [("max_titles", 5), ("overlap", 2), ("model", "x")])
def test_knowledge_of_other_settings_is_refused(taught: Path, setting: str, value: object) -> None:
    experiment = load_experiment(taught)
    settings = experiment.teacher.model_dump() | {setting: value}
    other = experiment.model_copy(update={"teacher": TeacherConfig.model_validate(settings)})
    with pytest.raises(KnowledgeError, match=rf"teacher\.{setting} = .*{value!r}"):
        load_live_teacher(other, workplace_of(taught))
