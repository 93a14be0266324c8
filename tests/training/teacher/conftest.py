"""Tiny random language models of real architectures, with a tokenizer of bytes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tests.smollm2 import smollm2_path
from tests.training.slow_log import SlowLog
from training import teach
from training.data.dataset import Dataset
from training.data.storage import save_dataset
from training.knowledge import Knowledge, load_knowledge
from training.settings.experiment import Experiment, load_experiment
from training.teacher.live.backends import load_live_teacher
from training.teacher.live.teacher import LiveTeacher
from training.teacher.llm.language_model import LanguageModel, load_language_model
from training.workplace import Workplace, knowledge_folder

__all__ = ["smollm2_path"]  # a fixture for all tests below

START, END = "<s>", "</s>"


@pytest.fixture(scope="session")
def tiny_language_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `load_language_model` reads."""
    return saved(random_llama, tmp_path_factory.mktemp("llm") / "tiny-llama")


@pytest.fixture(scope="session", params=["random_llama", "random_qwen2", "random_gpt2"])
def any_language_model_path(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder of each architecture, positions rotary or learned, layers transposed or not."""
    architecture: str = request.param
    return saved(globals()[architecture], tmp_path_factory.mktemp("llm") / architecture)


@pytest.fixture(scope="session")
def tiny_language_model(tiny_language_model_path: Path) -> LanguageModel:
    """The tiny Llama in float32; shared by tests, so none may change it."""
    return load_language_model(str(tiny_language_model_path))


@pytest.fixture
def prepared(
    tmp_path: Path, chain_dataset: Dataset, tiny_language_model_path: Path
) -> Callable[[str], Path]:
    """Makes an experiment file of a tiny teacher from its settings; `work` is beside it."""
    return partial(prepare_chain, tmp_path, chain_dataset, str(tiny_language_model_path))


@pytest.fixture
def taught(prepared: Callable[[str], Path]) -> Path:
    """The experiment file of a tiny retrieval teacher that has taught."""
    return run_teach(prepared('kind = "retrieval"'))


@pytest.fixture(params=["retrieval", "generative", "titles"])
def smollm2_taught(
    request: pytest.FixtureRequest, tmp_path: Path, chain_dataset: Dataset, smollm2_path: Path
) -> Path:
    """The experiment file of a SmolLM2 teacher of each kind that has taught."""
    settings = f'kind = "{request.param}"'
    return run_teach(prepare_chain(tmp_path, chain_dataset, str(smollm2_path), settings))


@pytest.fixture
def live_teacher(taught: Path) -> LiveTeacher:
    """The tiny retrieval teacher, loaded."""
    return load_live_teacher(load_experiment(taught), Workplace(taught.parent / "work" / "chain"))


@contextmanager
def layers_that_take(model: LanguageModel, seconds: float, log: SlowLog) -> Iterator[None]:
    """Lets every layer of `model` take `seconds` on the clock of `log`."""
    layers = model.causal.base_model.layers
    hooks = [layer.register_forward_pre_hook(lambda *_: log.tick(seconds)) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def prepare_chain(folder: Path, dataset: Dataset, model: str, settings: str) -> Path:
    """Writes the experiment file of a teacher; `settings` are lines of its [teacher]."""
    prepared = folder / "work" / "chain" / "dataset"
    prepared.mkdir(parents=True)
    save_dataset(dataset, prepared)
    path = folder / "chain.toml"
    path.write_text(
        f"""
        name = "chain"
        [data]
        source = "movielens"
        [teacher]
        model = "{model}"
        precision = "float32"
        max_titles = 4
        overlap = 1
        projection_size = 8
        epochs = 1
        writing.max_new_tokens = 6
        {settings}
        """
    )
    return path


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """The folder in which `prepared` experiments are taught."""
    return Workplace(tmp_path / "work" / "chain")


@pytest.fixture
def knowledge(experiment: Experiment, workplace: Workplace, chain_dataset: Dataset) -> Knowledge:
    """The knowledge of the test module's `experiment`, which has been taught."""
    folder = knowledge_folder(experiment, workplace)
    assert folder.name == f"knowledge-{experiment.teacher.kind}"
    return load_knowledge(folder, chain_dataset, experiment.teacher)


def run_teach(experiment: Path) -> Path:
    assert teach.main([str(experiment), "--work", str(experiment.parent / "work")]) == 0
    return experiment


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with one token for each byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([START, END, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=START, eos_token=END, pad_token=END
    )


def saved(model_of: Callable[[int], PreTrainedModel], folder: Path) -> Path:
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(folder)
    model_of(len(tokenizer)).save_pretrained(folder)
    return folder


SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.5,  # wide, so that what was read long ago still changes the state
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}


def random_llama(vocabulary_size: int) -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=vocabulary_size, intermediate_size=32, num_key_value_heads=1, **SHAPE
    )
    return seeded(LlamaForCausalLM, config)


def random_qwen2(vocabulary_size: int) -> PreTrainedModel:
    config = Qwen2Config(
        vocab_size=vocabulary_size, intermediate_size=32, num_key_value_heads=1, **SHAPE
    )
    return seeded(Qwen2ForCausalLM, config)


def random_gpt2(vocabulary_size: int) -> PreTrainedModel:
    return seeded(GPT2LMHeadModel, GPT2Config(vocab_size=vocabulary_size, **SHAPE))


def seeded(architecture: type[PreTrainedModel], config: PretrainedConfig) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return architecture(config)
