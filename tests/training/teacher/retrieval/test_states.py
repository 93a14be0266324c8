from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.settings.teacher import Pooling, TeacherConfig
from training.teacher.llm import shards
from training.teacher.llm.language_model import LanguageModel
from training.teacher.llm.prompts import prompt_builder
from training.teacher.llm.states import States
from training.teacher.llm.title_embeddings import embed_titles
from training.teacher.retrieval import states
from training.teacher.retrieval.states import encode_dataset


@pytest.fixture
def config(tiny_language_model_path: Path) -> TeacherConfig:
    """Settings with windows shorter than the histories, and small batches."""
    return TeacherConfig(
        kind="retrieval",
        model=str(tiny_language_model_path),
        precision="float32",
        max_titles=4,
        overlap=1,
        tokens_per_batch=512,
    )


def examples(dataset: Dataset) -> NDArray[np.int64]:
    splits = (Split.TRAIN, Split.VALIDATION, Split.TEST)
    return np.sort(np.concatenate([dataset.example_rows(split) for split in splits]))


def test_every_example_is_encoded_once_in_row_order(
    config: TeacherConfig,
    tiny_language_model: LanguageModel,
    chain_dataset: Dataset,
    tmp_path: Path,
) -> None:
    read = encode_dataset(chain_dataset, config, tmp_path, tiny_language_model).states
    np.testing.assert_array_equal(read.rows, examples(chain_dataset))


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_a_state_equals_that_of_a_prompt_with_its_history_only(
    config: TeacherConfig,
    tiny_language_model: LanguageModel,
    tiny_dataset: Dataset,
    tmp_path: Path,
    pooling: Pooling,
) -> None:
    config = config.model_copy(update={"pooling": pooling})
    read = encode_dataset(tiny_dataset, config, tmp_path, tiny_language_model).states
    builder = prompt_builder(tiny_language_model.tokenizer, tiny_dataset.catalog)
    for row in read.rows:
        tokens, _ = builder.prompt(tiny_dataset.history(int(row)))  # at most 4: one window
        with torch.inference_mode():
            states = tiny_language_model.hidden_states(torch.from_numpy(tokens)[None])[0]
        newest = len(builder.titles[tiny_dataset.item_indices[row - 1]])
        expected = states[-newest:].mean(dim=0) if pooling == "mean" else states[-1]
        state = read.of(np.array([row])).states[0]
        np.testing.assert_allclose(state, expected.numpy(), atol=2e-3)


@pytest.mark.parametrize("other", [{"pooling": "mean"}, {"layers": 1}])
def test_shards_of_other_settings_are_not_reused(
    config: TeacherConfig,
    tiny_language_model: LanguageModel,
    tiny_dataset: Dataset,
    tmp_path: Path,
    other: dict[str, object],
) -> None:
    encode_dataset(tiny_dataset, config, tmp_path, tiny_language_model)
    folders = set(tmp_path.iterdir())
    encode_dataset(tiny_dataset, config.model_copy(update=other), tmp_path, tiny_language_model)
    assert len(set(tmp_path.iterdir()) - folders) == 1


def test_a_killed_encoding_resumes_to_the_same_bytes(
    config: TeacherConfig,
    tiny_language_model: LanguageModel,
    chain_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shards, "BATCHES_PER_SHARD", 1)
    whole = encode_dataset(chain_dataset, config, tmp_path / "whole", tiny_language_model)
    real, calls = states._encode_batch, 0

    def killed_at_the_third(*arguments: Any) -> NDArray[np.float16]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(states, "_encode_batch", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        encode_dataset(chain_dataset, config, tmp_path / "killed", tiny_language_model)
    resumed = encode_dataset(chain_dataset, config, tmp_path / "killed", tiny_language_model)

    assert calls > 3  # the rest was read after the kill, the first shards were not read again
    assert resumed.states.states.tobytes() == whole.states.states.tobytes()
    assert resumed.title_embeddings.tobytes() == whole.title_embeddings.tobytes()


def test_a_title_embedding_is_the_mean_of_its_states(
    tiny_language_model: LanguageModel, tiny_dataset: Dataset
) -> None:
    builder = prompt_builder(tiny_language_model.tokenizer, tiny_dataset.catalog)
    embeddings = embed_titles(tiny_language_model, builder, tokens_per_batch=512)
    assert not embeddings[0].any()
    for index in range(1, tiny_dataset.catalog.num_rows):
        title = torch.from_numpy(builder.titles[index])[None]
        with torch.inference_mode():
            mean = tiny_language_model.hidden_states(title)[0].mean(dim=0)
        np.testing.assert_allclose(embeddings[index], mean.numpy(), atol=1e-5)


def test_states_are_found_by_row() -> None:
    states = States(np.array([2, 5, 9]), np.array([[2.0], [5.0], [9.0]], dtype=np.float16))
    np.testing.assert_array_equal(states.of(np.array([9, 2])).states, [[9.0], [2.0]])
