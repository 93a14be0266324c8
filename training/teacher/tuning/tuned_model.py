"""Loads the LLM of a teacher, and fine-tunes it if the teacher's settings ask for it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from training.data.dataset import Dataset
from training.errors import TEACH_AGAIN, KnowledgeError
from training.settings.teacher import TeacherConfig
from training.stage import fingerprint
from training.teacher.llm.language_model import LanguageModel, load_language_model
from training.teacher.llm.prompts import PROMPT_VERSION
from training.teacher.tuning.objectives import (
    MatchingObjective,
    ResponseObjective,
    TuningExamples,
)
from training.teacher.tuning.tuner import BEST_NAME, DONE_NAME, tune

# Settings that tuned weights depend on; they depend on the dataset, too.
SETTINGS_OF_WEIGHTS = frozenset(
    {
        *("kind", "model", "layers", "pooling", "tuning", "precision", "max_titles", "overlap"),
        *("projection_size", "dropout", "matching_rate", "seed", "tuner"),
    }
)


@dataclass(frozen=True)
class TunedModel:
    """An LLM, tuned or not, with the folder, hash and cost of its tuned weights.

    Attributes:
        model: the LLM.
        weights: hash of the tuned weights; None if the LLM is not tuned.
        folder: folder of the tuned weights; None if the LLM is not tuned.
        costs: a mapping from "tuning" to the progress of the tuning, with tokens and seconds; empty
            if the LLM is not tuned.
    """

    model: LanguageModel
    weights: str | None = None
    folder: Path | None = None
    costs: Mapping[str, Any] = field(default_factory=dict)


def language_model(
    config: TeacherConfig, precision: str | None = None, tuned: Path | None = None
) -> LanguageModel:
    """Loads the LLM that `config` names.

    Args:
        config: settings of the teacher.
        precision: name of the torch dtype to load the LLM in; None takes that of `config`.
        tuned: folder of tuned weights; None loads the LLM untuned.

    Raises:
        ConfigError: the LLM cannot be loaded.
    """
    return load_language_model(
        config.model,
        precision or config.precision,
        config.device,
        layers=config.layers,
        tuned=tuned,
    )


def tune_if_configured(dataset: Dataset, config: TeacherConfig, folder: Path) -> None:
    """Tunes the LLM if `config.tuning` asks for it and the tuning is not complete yet.

    A killed tuning resumes after its last finished leg. `folder` is the parent folder of all tuned
    weights.

    Raises:
        ConfigError: the LLM cannot be loaded, or a prompt is longer than its context.
    """
    target = _weights_folder(dataset, config, folder)
    if config.tuning == "none" or (target / DONE_NAME).exists():
        return
    torch.manual_seed(config.seed)  # for the initial weights of adapter and matcher
    model = language_model(config, precision="float32")
    examples = TuningExamples(model, dataset, config)
    is_retrieval = config.kind == "retrieval"
    objective = MatchingObjective(examples) if is_retrieval else ResponseObjective(examples)
    tune(model, objective, config, target)


def load_tuned(dataset: Dataset, config: TeacherConfig, folder: Path) -> TunedModel:
    """Loads the LLM that `config` names, with its tuned weights if `config` asks for them.

    `folder` is the parent folder of all tuned weights.

    Raises:
        ConfigError: the LLM cannot be loaded.
        KnowledgeError: `config` asks for tuned weights, and their tuning is missing or not
            complete.
    """
    if config.tuning == "none":
        return TunedModel(language_model(config))
    target = _weights_folder(dataset, config, folder)
    if not (target / DONE_NAME).exists():
        raise KnowledgeError(f"{target}: no tuned LLM; make it with {TEACH_AGAIN}")
    best = target / BEST_NAME
    model = language_model(config, tuned=best)
    progress = json.loads((target / DONE_NAME).read_text(encoding="utf-8"))
    return TunedModel(model, _weights_hash(best), best, {"tuning": progress})


def _weights_folder(dataset: Dataset, config: TeacherConfig, folder: Path) -> Path:
    settings = config.fingerprint_settings(set(SETTINGS_OF_WEIGHTS))
    return folder / fingerprint(PROMPT_VERSION, dataset.fingerprint, settings)


def _weights_hash(folder: Path) -> str:
    """Returns the hash of all weights in `folder`: an adapter's or the LLM's, and any matcher's."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
