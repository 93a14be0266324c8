"""A sentence encoder as title encoder: a tiny random BERT in sentence-transformers' format."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModel, BertConfig, BertModel, PreTrainedModel

from tests.training.teacher.conftest import byte_tokenizer, run_teach, saved, seeded
from tests.trap import pickled
from training.data.dataset import Dataset
from training.errors import ConfigError
from training.knowledge import load_knowledge
from training.settings.experiment import load_experiment
from training.settings.teacher import TeacherConfig
from training.teacher.encoders.sentence import load_sentence_encoder
from training.teacher.live.backends import load_live_teacher
from training.teacher.llm.shards import compute_missing
from training.teacher.llm.title_embeddings import stored_embeddings
from training.workplace import Workplace

TITLES = ["Alien", "Красная жара", "Clue: the Movie"]
MODULES = [
    {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
MEAN = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}


def random_bert(vocabulary_size: int) -> PreTrainedModel:
    config = BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    return seeded(BertModel, config)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sentence encoder without `modules.json`."""
    return saved(random_bert, tmp_path / "encoder")


def with_modules(
    folder: Path, pooling: Mapping[str, Any] = MEAN, modules: list[dict[str, Any]] = MODULES
) -> Path:
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def embedded(
    folder: Path | str, titles: list[str] = TITLES, **settings: Any
) -> NDArray[np.float32]:
    config = TeacherConfig.model_validate(
        {"kind": "titles", "model": f"sentence:{folder}", "precision": "float32", **settings}
    )
    return load_sentence_encoder(config).embed(titles)


def states_of(folder: Path, text: str) -> torch.Tensor:
    """The states of one text alone, without padding."""
    tokens = torch.tensor([byte_tokenizer()(text)["input_ids"]])
    with torch.inference_mode():
        states: torch.Tensor = AutoModel.from_pretrained(folder)(tokens).last_hidden_state[0]
    return states


POOLINGS: list[tuple[Mapping[str, Any], Callable[[torch.Tensor], torch.Tensor]]] = [
    (MEAN, lambda states: states.mean(dim=0)),
    ({"pooling_mode_cls_token": True}, lambda states: states[0]),
    ({"pooling_mode_lasttoken": True}, lambda states: states[-1]),
    ({"pooling_mode": "max"}, lambda states: states.max(dim=0).values),
]


@pytest.mark.parametrize(("pooling", "vector"), POOLINGS)
def test_a_title_is_pooled_from_its_own_tokens_however_long_its_neighbours_are(
    folder: Path, pooling: Mapping[str, Any], vector: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    found = embedded(with_modules(folder, pooling, MODULES[:2]))
    expected = torch.stack([vector(states_of(folder, title)) for title in TITLES])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_vectors_have_unit_length_if_the_encoder_normalises_them(folder: Path) -> None:
    plain = embedded(folder)  # without modules.json: the mean
    unit = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    np.testing.assert_allclose(embedded(with_modules(folder)), unit, atol=1e-5)


def test_a_batch_changes_no_embedding_and_a_title_of_two_items_is_read_once(
    folder: Path, tmp_path: Path
) -> None:
    titles = [*TITLES, "Alien\n", *(f"Film {number}" for number in range(100))]
    config = TeacherConfig(
        kind="titles", model=f"sentence:{folder}", precision="float32", tokens_per_batch=512
    )
    encoder = load_sentence_encoder(config)
    work = encoder.plan(titles, tmp_path)
    compute_missing(work)
    found = stored_embeddings(work, len(titles) + 1)
    assert len(work.shards) > 1
    assert not found[[0, 4]].any()
    np.testing.assert_allclose(
        np.delete(found, [0, 4], 0), embedded(folder, titles[:3] + titles[4:]), atol=1e-5
    )
    assert work.cost.tokens == sum(len(title.encode()) for title in titles[:3] + titles[4:])


def test_texts_are_cut_lowered_and_prefixed_as_the_encoder_says(folder: Path) -> None:
    with_modules(folder, modules=MODULES[:2])
    settings = {"max_seq_length": 6, "do_lower_case": True}
    (folder / "sentence_bert_config.json").write_text(json.dumps(settings))
    prompts = {"prompts": {"query": "Q: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    found = embedded(folder, ["ABCDEF"])
    np.testing.assert_allclose(found[0], states_of(folder, "q: abc").mean(dim=0), atol=1e-5)
    own = embedded(folder, ["ABCDEF"], title_prefix="")
    np.testing.assert_allclose(own[0], states_of(folder, "abcdef").mean(dim=0), atol=1e-5)


def test_a_title_that_is_longer_than_the_transformer_reads_is_cut(folder: Path) -> None:
    found = embedded(folder, ["x" * 500])
    np.testing.assert_allclose(found[0], states_of(folder, "x" * 64).mean(dim=0), atol=1e-5)


def test_an_installed_package_is_found_by_its_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_modules(folder)
    site = tmp_path / "site"
    (site / "small_encoder").mkdir(parents=True)
    folder.rename(site / "small_encoder" / "model")
    described = site / "small_encoder-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: small-encoder\nVersion: 1.0\n"
    )
    (described / "RECORD").write_text("small_encoder/model/modules.json,,\n")
    monkeypatch.syspath_prepend(str(site))
    by_path = embedded(site / "small_encoder" / "model")
    np.testing.assert_array_equal(embedded("small-encoder"), by_path)


@pytest.mark.parametrize(
    ("pooling", "kinds", "problem"),
    [
        (MEAN, ["Transformer", "Pooling", "Dense"], "modules Transformer, Pooling, Dense; only"),
        (MEAN, ["CLIPModel"], "modules CLIPModel; only"),
        ({"pooling_mode": "weightedmean"}, None, "pooling weightedmean: must be one of mean, cls"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, None, "pooling pooling_mode_mean_sqrt_len"),
        ({}, None, "pooling none"),
        ({**MEAN, "include_prompt": False}, None, "include_prompt = false is not supported"),
        ([], None, "is damaged"),
    ],
)
def test_an_encoder_that_cannot_be_read_exactly_is_refused(
    folder: Path, pooling: Mapping[str, Any], kinds: list[str] | None, problem: str
) -> None:
    modules = MODULES[:2]
    if kinds:
        modules = [{"path": "", "type": f"sentence_transformers.models.{kind}"} for kind in kinds]
    with pytest.raises(ConfigError, match=problem):
        embedded(with_modules(folder, pooling, modules))


def test_weights_that_end_too_early_are_refused_by_the_setting(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ConfigError, match=r"teacher\.model = 'sentence:.*cannot be loaded"):
        embedded(folder)


def test_a_name_that_is_nowhere_says_where_it_was_looked_for() -> None:
    with pytest.raises(ConfigError, match="'no/such/name' is no folder, no installed package"):
        embedded("no/such/name")


def test_pickled_weights_are_refused_and_none_of_their_code_runs(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickled(tmp_path / "sprung"))
    with pytest.raises(ConfigError, match="safetensors"):
        embedded(folder)
    assert not (tmp_path / "sprung").exists()


def test_one_line_of_the_teacher_makes_it_the_encoder_of_the_catalog_and_of_added_items(
    folder: Path, prepared: Callable[[str], Path], chain_dataset: Dataset
) -> None:
    path = prepared('kind = "titles"')
    lines = path.read_text().splitlines()
    line = f'model = "sentence:{folder}"'
    path.write_text("\n".join(line if "model =" in each else each for each in lines))

    run_teach(path)

    workplace = Workplace(path.parent / "work" / "chain")
    knowledge = load_knowledge(workplace.knowledge_of("titles"), chain_dataset)
    expected = embedded(folder, list(chain_dataset.catalog.titles))
    np.testing.assert_allclose(knowledge.item_embeddings[1:], expected, atol=1e-2)
    live = load_live_teacher(load_experiment(path), workplace)
    added = live.embed([chain_dataset.catalog.titles[3]])
    np.testing.assert_allclose(added[0], knowledge.item_embeddings[4], atol=1e-2)
