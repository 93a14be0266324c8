"""The weights of an LLM that fine-tuning trains: all weights, or a low-rank adapter (LoRA)."""

from collections.abc import Mapping
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from training.settings.teacher import TeacherConfig, TunerConfig
from training.teacher.llm.language_model import LanguageModel


class TrainedWeights:
    """The weights of an LLM that fine-tuning trains: selects, reads, restores and saves them."""

    def __init__(self, model: LanguageModel, config: TeacherConfig) -> None:
        """Selects the weights to train.

        If `config.tuning` is `full`, these are all weights. If it is `lora`, an adapter is added to
        `model`, in place, and only the weights of the adapter are selected.
        """
        self._model = model
        self._saved = model.causal
        if config.tuning == "lora":
            self._saved = get_peft_model(model.causal, lora_config(model, config.tuner))
        self._by_name: dict[str, torch.nn.Parameter] = {
            name: parameter
            for name, parameter in self._saved.named_parameters()
            if parameter.requires_grad
        }

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The parameters that the optimiser trains."""
        return list(self._by_name.values())

    def state(self) -> dict[str, Tensor]:
        """Returns the trained weights by name, as detached tensors that are not copied."""
        return {name: parameter.detach() for name, parameter in self._by_name.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Sets the trained weights to values that `state` returned earlier."""
        with torch.no_grad():
            for name, parameter in self._by_name.items():
                parameter.copy_(state[name])

    def save(self, folder: Path) -> None:
        """Writes the trained weights into `folder`, from which `load_language_model` loads them."""
        if self._saved is self._model.causal:
            self._saved.save_pretrained(folder)
        else:
            # By default peft asks Hugging Face over the network whether the vocabulary has grown.
            self._saved.save_pretrained(folder, save_embedding_layers=False)


def lora_config(model: LanguageModel, tuner: TunerConfig) -> LoraConfig:
    """Makes the configuration of a LoRA adapter for every linear layer except the LM head.

    Rank, scale and dropout of the adapter are settings of `tuner`.
    """
    return LoraConfig(
        task_type="CAUSAL_LM",
        target_modules="all-linear",
        r=tuner.rank,
        lora_alpha=tuner.alpha,
        lora_dropout=tuner.dropout,
        # GPT-2 stores the weights of its layers transposed.
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.causal.modules()),
    )
