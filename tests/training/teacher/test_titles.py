"""The teacher that reads titles alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training import teach
from training.config import load_experiment
from training.data.dataset import Dataset
from training.errors import ConfigError
from training.program import Workplace
from training.teacher import reading, shards
from training.teacher.knowledge import EMBEDDINGS_NAME, Knowledge, load_knowledge
from training.teacher.language_model import LanguageModel
from training.teacher.minds import load_live_teacher
from training.teacher.prompts import phrasebook
from training.teacher.reading import embed_titles

Prepared = Callable[[str], Path]


def taught(path: Path, dataset: Dataset) -> Knowledge:
    assert teach.main([str(path), "--work", str(path.parent / "work")]) == 0
    return load_knowledge(knowledge_folder(path), dataset)


def knowledge_folder(path: Path) -> Path:
    return path.parent / "work" / "chain" / "knowledge-titles"


def test_it_tells_how_the_llm_sees_each_title_and_nothing_else(
    prepared: Prepared, chain_dataset: Dataset, tiny_language_model: LanguageModel
) -> None:
    knowledge = taught(prepared('kind = "titles"'), chain_dataset)
    book = phrasebook(tiny_language_model.tokenizer, chain_dataset.catalog)
    seen = embed_titles(tiny_language_model, book, tokens_per_batch=4_096)
    np.testing.assert_array_equal(knowledge.item_embeddings, seen.astype(np.float16))
    assert not knowledge.has_lists
    assert len(knowledge.validation.rows) == len(knowledge.test.rows) == 0


def test_it_reads_each_title_once(prepared: Prepared, chain_dataset: Dataset) -> None:
    # "film 0" to "film 11" and a newline, a byte a token.
    num_bytes = sum(len(title.encode()) + 1 for title in chain_dataset.catalog.titles)
    provenance = taught(prepared('kind = "titles"'), chain_dataset).provenance
    assert provenance["tokens"] == num_bytes
    assert provenance["teacher"] == "titles"


def test_killed_it_goes_on_to_the_same_bytes(
    prepared: Prepared, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BATCHES_PER_SHARD", 1)
    monkeypatch.setattr(shards, "token_bounded", lambda lengths, _: np.split(lengths.argsort(), 4))
    path = prepared('kind = "titles"')
    real, calls = reading.mean_states, 0

    def killed_at_the_third(*arguments: Any) -> NDArray[np.float32]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(reading, "mean_states", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
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


def test_it_cannot_be_asked(prepared: Prepared, chain_dataset: Dataset) -> None:
    path = prepared('kind = "titles"')
    taught(path, chain_dataset)
    with pytest.raises(ConfigError, match="cannot be asked"):
        load_live_teacher(load_experiment(path), Workplace(path.parent / "work" / "chain"))


def test_beside_a_tuned_teacher_it_is_not_tuned(prepared: Prepared, chain_dataset: Dataset) -> None:
    path = prepared('kind = "retrieval"\n        tuning = "lora"')
    work = str(path.parent / "work")
    assert teach.main([str(path), "--work", work, "--kind", "titles"]) == 0
    assert load_knowledge(knowledge_folder(path), chain_dataset).provenance["weights"] is None
