"""The titles teacher."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.slow_log import LONGEST_SILENCE_SECONDS, slow_log
from tests.training.teacher.conftest import layers_that_take
from training import teach
from training.data.dataset import Dataset, Split
from training.errors import KnowledgeError
from training.evaluation.baselines.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import ranker_of
from training.knowledge import (
    DESCRIPTION_NAME,
    EMBEDDINGS_NAME,
    Answers,
    Knowledge,
    load_knowledge,
)
from training.settings.experiment import load_experiment
from training.settings.teacher import TeacherConfig
from training.teacher.encoders import opening
from training.teacher.live.backends import load_live_teacher
from training.teacher.llm import shards, title_embeddings
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.prompts import prompt_builder
from training.teacher.llm.title_embeddings import embed_titles
from training.teacher.titles.teach import best_decay
from training.teacher.tuning.tuned_model import language_model
from training.workplace import Workplace

Prepared = Callable[[str], Path]


class Killed(BaseException):
    """Ends a run at once, as a signal would."""


def taught(path: Path, dataset: Dataset) -> Knowledge:
    assert teach.main([str(path), "--work", str(path.parent / "work")]) == 0
    return load_knowledge(knowledge_folder(path), dataset)


def knowledge_folder(path: Path) -> Path:
    return path.parent / "work" / "chain" / "knowledge-titles"


def test_item_embeddings_are_the_title_embeddings_of_the_llm(
    prepared: Prepared, chain_dataset: Dataset, tiny_language_model: LanguageModel
) -> None:
    knowledge = taught(prepared('kind = "titles"'), chain_dataset)
    builder = prompt_builder(tiny_language_model.tokenizer, chain_dataset.catalog)
    embeddings = embed_titles(tiny_language_model, builder, tokens_per_batch=4_096)
    np.testing.assert_array_equal(knowledge.item_embeddings, embeddings.astype(np.float16))


def test_it_answers_every_example_with_the_titles_nearest_to_its_history(
    prepared: Prepared, chain_dataset: Dataset
) -> None:
    knowledge = taught(prepared('kind = "titles"\n        title_decays = [0.5]'), chain_dataset)
    neighbours = TitleNeighbours(chain_dataset, knowledge.item_embeddings, decay=0.5)
    assert knowledge.provenance["decay"] == 0.5
    for split, length in ((Split.TRAIN, 10), (Split.VALIDATION, 20), (Split.TEST, 20)):
        answers: Answers = getattr(knowledge, split.name.lower())
        rows = chain_dataset.example_rows(split)
        np.testing.assert_array_equal(answers.rows, rows)
        nearest = ranker_of(neighbours, chain_dataset)(rows)[:, :length]
        np.testing.assert_array_equal(answers.rankings, nearest)
        due = neighbours.distances(rows, chain_dataset.item_indices[rows][:, None])[:, 0]
        np.testing.assert_allclose(answers.next_item_distances, due, atol=1e-3)


def test_validation_picks_the_decay_of_older_titles(tiny_dataset: Dataset) -> None:
    # Of unit spread, c points to 0 degrees, b to 90, a to 217; ann wants d, at 56, not e, at -37.
    # c by itself is nearer to e; with half of b and a quarter of a it leans to 24, nearer to d.
    embeddings = np.array([[0, 0], [-4, -2], [0, 2], [1, 0], [1, 1], [2, -1]], dtype=np.float32)
    assert best_decay(tiny_dataset, embeddings, (0.0, 0.5)) == 0.5
    assert best_decay(tiny_dataset, embeddings, (0.0,)) == 0.0


def test_it_answers_as_many_training_examples_as_its_budget_allows(
    prepared: Prepared, chain_dataset: Dataset
) -> None:
    settings = 'kind = "titles"\n        budget_sequences = 7'
    assert len(taught(prepared(settings), chain_dataset).train.rows) == 7


def test_each_title_is_read_once(prepared: Prepared, chain_dataset: Dataset) -> None:
    # "film 0" to "film 11" and a newline, a byte a token.
    num_bytes = sum(len(title.encode()) + 1 for title in chain_dataset.catalog.titles)
    provenance = taught(prepared('kind = "titles"'), chain_dataset).provenance
    assert provenance["tokens"] == num_bytes
    assert provenance["teacher"] == "titles"


def test_a_killed_titles_teacher_resumes_to_the_same_bytes(
    prepared: Prepared, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BATCHES_PER_SHARD", 1)
    monkeypatch.setattr(shards, "token_bounded", lambda lengths, _: np.split(lengths.argsort(), 4))
    path = prepared('kind = "titles"')
    real, calls = title_embeddings.mean_states, 0

    def killed_at_the_third(*arguments: Any) -> NDArray[np.float32]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Killed
        return real(*arguments)

    monkeypatch.setattr(title_embeddings, "mean_states", killed_at_the_third)
    with pytest.raises(Killed):
        taught(path, chain_dataset)
    taught(path, chain_dataset)
    assert calls == 5  # two before the kill, the killed one, and that one again with the last
    resumed = (knowledge_folder(path) / EMBEDDINGS_NAME).read_bytes()
    for shard in (path.parent / "work" / "chain" / "reading").rglob("*"):
        shard.unlink() if shard.is_file() else None
    work = str(path.parent / "work")
    assert teach.main([str(path), "--work", work, "--again"]) == 0
    assert calls == 9
    assert (knowledge_folder(path) / EMBEDDINGS_NAME).read_bytes() == resumed


@pytest.mark.parametrize("titles_per_batch", [1, 12])
def test_a_log_of_slow_reading_is_never_silent_for_longer_than_five_seconds(
    prepared: Prepared,
    chain_dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    titles_per_batch: int,
) -> None:
    """Also where the whole catalog is one batch of one shard."""
    log = slow_log(monkeypatch)
    monkeypatch.setattr(
        shards,
        "token_bounded",
        lambda lengths, _: np.split(lengths.argsort(), len(lengths) // titles_per_batch),
    )
    seconds_per_layer = 2.5 if titles_per_batch == 1 else 4.5

    with ExitStack() as slow:

        def slow_model(config: TeacherConfig) -> LanguageModel:
            model = language_model(config)
            slow.enter_context(layers_that_take(model, seconds_per_layer, log))
            return model

        monkeypatch.setattr(opening, "language_model", slow_model)
        taught(prepared('kind = "titles"'), chain_dataset)

    assert log.seconds > LONGEST_SILENCE_SECONDS
    assert log.longest_silence() <= LONGEST_SILENCE_SECONDS
    assert log.lines_about("reading titles")


def test_a_titles_teacher_is_never_tuned(prepared: Prepared, chain_dataset: Dataset) -> None:
    path = prepared('kind = "retrieval"\n        tuning = "lora"')
    work = str(path.parent / "work")
    assert teach.main([str(path), "--work", work, "--kind", "titles"]) == 0
    assert load_knowledge(knowledge_folder(path), chain_dataset).provenance["weights"] is None


def test_titles_knowledge_of_before_it_had_lists_is_refused_by_name(
    prepared: Prepared, chain_dataset: Dataset
) -> None:
    path = prepared('kind = "titles"')
    taught(path, chain_dataset)
    description = knowledge_folder(path) / DESCRIPTION_NAME
    changed = json.loads(description.read_text())
    del changed["provenance"]["decay"]
    description.write_text(json.dumps(changed))
    with pytest.raises(
        KnowledgeError, match="knowledge-titles: made when a titles teacher had no ranking lists"
    ):
        load_live_teacher(load_experiment(path), Workplace(path.parent / "work" / "chain"))
