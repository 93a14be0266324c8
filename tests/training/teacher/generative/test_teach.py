from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.slow_log import LONGEST_SILENCE_SECONDS, assert_counts_rise, slow_log
from tests.training.teacher.conftest import layers_that_take
from training.data.dataset import Dataset, Split
from training.errors import KnowledgeError
from training.knowledge import Knowledge
from training.progress import Advance, ignore_progress
from training.settings.teacher import TeacherConfig
from training.teacher.generative import teach
from training.teacher.generative.engine import History, LocalEngine, WrittenTitle
from training.teacher.generative.grounding import Grounding
from training.teacher.generative.load_engine import LoadedEngine
from training.teacher.generative.teach import histories_of, teach_generative, write_texts
from training.teacher.llm import shards
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.prompts import prompt_builder


@pytest.fixture
def config(tiny_language_model_path: Path) -> TeacherConfig:
    """Prompts of at most four titles and answers of at most six bytes."""
    return TeacherConfig.model_validate(
        {
            "kind": "generative",
            "model": str(tiny_language_model_path),
            "precision": "float32",
            "max_titles": 4,
            "overlap": 1,
            "tokens_per_batch": 512,
            "writing": {"max_new_tokens": 6},
        }
    )


@pytest.fixture
def engine(
    config: TeacherConfig, tiny_language_model: LanguageModel, chain_dataset: Dataset
) -> LocalEngine:
    builder = prompt_builder(tiny_language_model.tokenizer, chain_dataset.catalog)
    return LocalEngine(tiny_language_model, builder, config)


class Oracle:
    """An engine that writes the next title of the ring; its embeddings are random."""

    name = "oracle"

    def __init__(self, dataset: Dataset) -> None:
        self.titles = dataset.catalog.titles
        self.histories: list[History] = []

    def prompt_lengths(self, histories: Sequence[History]) -> Any:
        return np.array([10 * len(history) for history in histories])

    def write(
        self, histories: Sequence[History], advance: Advance = ignore_progress
    ) -> list[WrittenTitle]:
        self.histories += histories
        advance(1)
        return [WrittenTitle(self.titles[history[-1] % 12], 10) for history in histories]

    def embed(self, titles: Sequence[str], advance: Advance = ignore_progress) -> Any:
        advance(1)
        chances = [np.random.default_rng([*title.encode()]) for title in titles]
        return np.array([chance.standard_normal(8) for chance in chances], dtype=np.float32)


def taught(dataset: Dataset, config: TeacherConfig, folder: Path) -> Knowledge:
    return teach_generative(dataset, config, folder, LoadedEngine(Oracle(dataset)))


def test_the_item_whose_title_was_written_is_answered_first(
    config: TeacherConfig, chain_dataset: Dataset, tmp_path: Path
) -> None:
    knowledge = taught(chain_dataset, config, tmp_path)
    for split in Split.TRAIN, Split.VALIDATION, Split.TEST:
        answers = getattr(knowledge, split.name.lower())
        np.testing.assert_array_equal(answers.rows, chain_dataset.example_rows(split))
        next_items = chain_dataset.item_indices[answers.rows]
        np.testing.assert_array_equal(answers.rankings[:, 0], next_items)
        np.testing.assert_allclose(answers.next_item_distances, 0, atol=1e-3)


def test_a_history_shared_by_several_examples_is_answered_once(
    config: TeacherConfig, chain_dataset: Dataset, tmp_path: Path
) -> None:
    oracle = Oracle(chain_dataset)
    texts = write_texts(chain_dataset, config, tmp_path, oracle)
    histories = histories_of(chain_dataset, texts.rows, config)
    assert len(oracle.histories) == len(set(oracle.histories)) < len(histories)
    assert set(oracle.histories) == set(histories)
    assert texts.cost.tokens == 10 * len(oracle.histories)


def test_beyond_its_budget_a_teacher_has_no_list_for_a_training_example(
    config: TeacherConfig, chain_dataset: Dataset, tmp_path: Path
) -> None:
    for budget in 0, 5:
        budgeted = config.model_copy(update={"budget_sequences": budget})
        knowledge = taught(chain_dataset, budgeted, tmp_path)
        assert len(knowledge.train.rows) == budget
        assert len(knowledge.test.rows) == 30


def test_injection_is_validated_on_the_answered_examples_only(
    config: TeacherConfig, chain_dataset: Dataset, tmp_path: Path
) -> None:
    writing = config.writing.model_copy(update={"inject_popularity": True})
    part = config.model_copy(update={"budget_held_out": 4, "writing": writing})
    knowledge = taught(chain_dataset, part, tmp_path)
    assert (len(knowledge.validation.rows), len(knowledge.test.rows)) == (4, 4)
    next_items = chain_dataset.item_indices[knowledge.test.rows]
    np.testing.assert_array_equal(knowledge.test.rankings[:, 0], next_items)


def test_a_larger_budget_does_not_reuse_the_texts_of_a_smaller_one(
    config: TeacherConfig, chain_dataset: Dataset, tmp_path: Path
) -> None:
    taught(chain_dataset, config.model_copy(update={"budget_sequences": 5}), tmp_path)
    answers = taught(chain_dataset, config, tmp_path).train
    next_items = chain_dataset.item_indices[answers.rows]
    np.testing.assert_array_equal(answers.rankings[:, 0], next_items)


def test_changed_injection_reuses_the_written_texts(
    config: TeacherConfig, chain_dataset: Dataset, tmp_path: Path
) -> None:
    taught(chain_dataset, config, tmp_path)
    writing = config.writing.model_copy(update={"inject_popularity": True})
    taught(chain_dataset, config.model_copy(update={"writing": writing}), tmp_path)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


class Shorter(Oracle):
    """An oracle whose embeddings have fewer numbers, as if its server had another model now."""

    def embed(self, titles: Sequence[str], advance: Advance = ignore_progress) -> Any:
        return super().embed(titles, advance)[:, :5]


def test_a_model_whose_embeddings_change_their_size_is_refused(
    config: TeacherConfig, chain_dataset: Dataset, tmp_path: Path
) -> None:
    taught(chain_dataset, config, tmp_path)
    other = config.model_copy(update={"budget_sequences": 5})
    message = rf"texts-00000.npz: embeddings of 5 numbers, .* have 8; .*delete {tmp_path}, "
    with pytest.raises(KnowledgeError, match=message):
        teach_generative(chain_dataset, other, tmp_path, LoadedEngine(Shorter(chain_dataset)))


def test_a_killed_teacher_resumes_to_the_same_bytes(
    config: TeacherConfig,
    chain_dataset: Dataset,
    engine: LocalEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shards, "BATCHES_PER_SHARD", 1)
    whole = write_texts(chain_dataset, config, made(tmp_path / "whole"), engine)
    real, calls = teach._write_shard, 0

    def killed_at_the_third(*arguments: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(teach, "_write_shard", killed_at_the_third)
    killed = made(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        write_texts(chain_dataset, config, killed, engine)
    resumed = write_texts(chain_dataset, config, killed, engine)

    assert calls == 1 + len(list(killed.glob("*.npz")))  # only the killed shard was begun twice
    for path in (tmp_path / "whole").glob("*.npz"):
        assert path.read_bytes() == (killed / path.name).read_bytes()
    assert resumed.texts.tolist() == whole.texts.tolist()


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_text_is_grounded_by_its_embedding(
    config: TeacherConfig, chain_dataset: Dataset, engine: LocalEngine, tmp_path: Path
) -> None:
    texts = write_texts(chain_dataset, config, tmp_path, engine)
    titles = torch.randn(13, engine.model.hidden_size)
    rows = texts.rows[[0, -1]]
    written = engine.write(histories_of(chain_dataset, rows, config))
    embeddings = torch.from_numpy(engine.embed([line.text for line in written]))
    expected = Grounding(titles).distances(embeddings)
    actual = texts.grounded(Grounding(titles))(rows)
    torch.testing.assert_close(actual, expected, atol=5e-3, rtol=0)


def test_a_log_of_slow_writing_is_never_silent_for_longer_than_five_seconds(
    config: TeacherConfig,
    chain_dataset: Dataset,
    engine: LocalEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = slow_log(monkeypatch)
    (tmp_path / "texts").mkdir()

    with layers_that_take(engine.model, 0.5, log):
        write_texts(chain_dataset, config, tmp_path / "texts", engine)

    assert log.seconds > 2 * LONGEST_SILENCE_SECONDS
    assert log.longest_silence() <= LONGEST_SILENCE_SECONDS
    assert_counts_rise(log.lines_about("writing titles"))


def test_a_prompt_shows_the_newest_titles(config: TeacherConfig, chain_dataset: Dataset) -> None:
    rows = np.array([1, 4, 6])  # after 1, 4 and 6 titles, of which at most 4 are shown
    shown = histories_of(chain_dataset, rows, config)
    assert shown == [(1,), (1, 2, 3, 4), (4, 5, 6)]
