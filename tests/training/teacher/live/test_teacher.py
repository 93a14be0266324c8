"""Histories of up to six titles, of which the teacher reads at most four."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from training import teach
from training.data.dataset import Dataset
from training.errors import KnowledgeError
from training.knowledge import Answers, Knowledge, load_knowledge
from training.settings.experiment import load_experiment
from training.settings.teacher import TeacherConfig
from training.teacher.live.backends import load_live_teacher
from training.teacher.live.teacher import LiveTeacher, UnknownHistoryError
from training.workplace import Workplace, knowledge_folder


def workplace_of(experiment: Path) -> Workplace:
    return Workplace(experiment.parent / "work" / "chain")


def work_of(experiment: Path) -> list[str]:
    return [str(experiment), "--work", str(experiment.parent / "work")]


def live(experiment: Path) -> LiveTeacher:
    return load_live_teacher(load_experiment(experiment), workplace_of(experiment))


def knowledge_of(experiment: Path, dataset: Dataset) -> Knowledge:
    return load_knowledge(
        knowledge_folder(load_experiment(experiment), workplace_of(experiment)), dataset
    )


@pytest.fixture(params=["retrieval", "generative", "titles"])
def taught(request: pytest.FixtureRequest, prepared: Callable[[str], Path]) -> Path:
    """The experiment file of a tiny teacher of each kind that has taught."""
    experiment = prepared(f'kind = "{request.param}"')
    assert teach.main(work_of(experiment)) == 0
    return experiment


@pytest.fixture
def knowledge(taught: Path, chain_dataset: Dataset) -> Knowledge:
    return knowledge_of(taught, chain_dataset)


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
    stored = knowledge_of(smollm2_taught, chain_dataset).test
    check_answers(live(smollm2_taught), stored, chain_dataset)


SIGNALS = "writing.inject_popularity = true\nwriting.inject_transitions = true"
TUNED = 'tuning = "lora"\ntuner.epochs = 0.5\ntuner.learning_rate = 0.01'


@pytest.mark.parametrize(
    "settings",
    [
        f'kind = "generative"\n{SIGNALS}',
        f'kind = "generative"\n{TUNED}',
        f'kind = "retrieval"\n{TUNED}',
        'kind = "retrieval"\nlayers = 1\npooling = "mean"\ntitle_shares = [0.3]',
        'kind = "titles"\nlayers = 1',
    ],
)
def test_with_other_settings_it_still_answers_as_stored(
    prepared: Callable[[str], Path], chain_dataset: Dataset, settings: str
) -> None:
    experiment = prepared(settings)
    assert teach.main(work_of(experiment)) == 0
    stored = knowledge_of(experiment, chain_dataset).test
    check_answers(live(experiment), stored, chain_dataset)


def check_answers(teacher: LiveTeacher, stored: Answers, dataset: Dataset) -> None:
    lines = range(0, len(stored.rows), 6)
    assert len(lines) > 4
    for line in lines:
        ranking = stored.rankings[line].tolist()
        history = ids(dataset.history(int(stored.rows[line])).tolist())
        answer = teacher.recommend(history, len(ranking), exclude=[])
        assert answer.item_ids == ids([index for index in ranking if index])
        distances = stored.distances[line, : len(answer.distances)]
        np.testing.assert_allclose(answer.distances, distances, atol=2e-3, rtol=2e-3)


def test_it_is_served_with_the_knowledge_that_a_killed_replacement_left(taught: Path) -> None:
    before = live(taught)
    folder = knowledge_folder(load_experiment(taught), workplace_of(taught))
    folder.rename(folder.with_name(f".{folder.name}.replaced"))
    assert live(taught).version == before.version


def test_excluded_items_make_room_for_the_next_ones(live_teacher: LiveTeacher) -> None:
    everything = live_teacher.recommend(["i1"], 12, exclude=[])
    first, second, third, *_ = everything.item_ids
    assert live_teacher.recommend(["i1"], 2, exclude=[first]).item_ids == [second, third]
    assert len(everything.item_ids) == 11  # the seen one is left out


def test_seen_items_are_recommended_without_mask_seen(live_teacher: LiveTeacher) -> None:
    everything = live_teacher.recommend(["i1"], 12, exclude=["i2"], mask_seen=False)
    assert sorted(everything.item_ids) == sorted({f"i{index}" for index in range(1, 13)} - {"i2"})


def test_ids_that_the_catalog_does_not_have_are_skipped(live_teacher: LiveTeacher) -> None:
    expected = live_teacher.recommend(["i1", "i2"], 3, exclude=[])
    assert live_teacher.recommend(["i1", "x", "i2"], 3, exclude=["y"]) == expected


def test_a_history_without_a_known_item_is_refused(live_teacher: LiveTeacher) -> None:
    with pytest.raises(UnknownHistoryError, match="none of the 2 ids is in the teacher's catalog"):
        live_teacher.recommend(["x", "y"], 3, exclude=[])


def test_titles_are_embedded_as_those_of_the_catalog(
    live_teacher: LiveTeacher, knowledge: Knowledge, chain_dataset: Dataset
) -> None:
    embeddings = live_teacher.embed(["Something new", *chain_dataset.catalog.titles])
    np.testing.assert_allclose(embeddings[1:], knowledge.item_embeddings[1:], rtol=2e-3, atol=2e-3)
    assert not np.allclose(embeddings[0], embeddings[1], atol=0.1)


@pytest.mark.parametrize(("setting", "value"), [("precision", "bfloat16"), ("model", "x")])
def test_knowledge_of_other_settings_is_refused(taught: Path, setting: str, value: object) -> None:
    experiment = load_experiment(taught)
    settings = experiment.teacher.model_dump() | {setting: value}
    other = experiment.model_copy(update={"teacher": TeacherConfig.model_validate(settings)})
    with pytest.raises(KnowledgeError, match=rf"teacher\.{setting} = .*{value!r}"):
        load_live_teacher(other, workplace_of(taught))


def test_only_a_generative_teacher_returns_generated_text(taught: Path) -> None:
    answer = live(taught).recommend(["i1", "i2"], 3, exclude=[])
    if load_experiment(taught).teacher.kind == "generative":
        assert isinstance(answer.generated_text, str)
        assert answer.tokens > 0
    else:
        assert answer.generated_text is None


def test_a_generative_teacher_without_injection_needs_no_knowledge(
    prepared: Callable[[str], Path],
) -> None:
    experiment = prepared('kind = "generative"')
    untaught = live(experiment).recommend(["i1", "i2"], 3, exclude=[])
    assert teach.main(work_of(experiment)) == 0
    assert live(experiment).recommend(["i1", "i2"], 3, exclude=[]) == untaught


def test_a_generative_teacher_with_injection_needs_knowledge(
    prepared: Callable[[str], Path],
) -> None:
    with pytest.raises(
        KnowledgeError, match="missing; make it with `distilled-recommender teach CONFIG`"
    ):
        live(prepared(f'kind = "generative"\n{SIGNALS}'))


def test_knowledge_of_other_weights_is_refused_until_it_is_made_again(
    prepared: Callable[[str], Path],
) -> None:
    experiment = prepared(f'kind = "generative"\n{TUNED}')
    assert teach.main(work_of(experiment)) == 0
    (adapter,) = workplace_of(experiment).tuned.rglob("adapter_model.safetensors")
    adapter.write_bytes(other_bytes(adapter.read_bytes()))
    with pytest.raises(KnowledgeError, match=r"made with the tuned weights .* CONFIG --again`"):
        live(experiment)
    assert teach.main([*work_of(experiment), "--again"]) == 0
    live(experiment)


def other_bytes(tensors: bytes) -> bytes:
    """Changes the last weight of a safetensors file."""
    return tensors[:-4] + bytes(4)
