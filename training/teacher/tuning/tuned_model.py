"""The LLM of a teacher as its settings want it: as it came, or tuned."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from training.data.dataset import Dataset
from training.errors import KnowledgeError
from training.settings.teacher import TeacherConfig
from training.stage import fingerprint
from training.teacher.llm.language_model import LanguageModel, load_language_model
from training.teacher.llm.prompts import PROMPT_VERSION
from training.teacher.tuning.objectives import MatchingObjective, Material, ResponseObjective
from training.teacher.tuning.tuner import BEST_NAME, DONE_NAME, tune

# What tuned weights depend on, beside the dataset.
SETTINGS_OF_WEIGHTS = frozenset(
    {
        *("kind", "model", "layers", "pooling", "tuning", "precision", "max_titles", "overlap"),
        *("projection_size", "dropout", "matching_rate", "seed", "tuner"),
    }
)


@dataclass(frozen=True)
class TunedModel:
    """An LLM ready for use.

    Attributes:
        weights: hash of its tuned weights, None if it is as it came.
        folder: of those weights.
        costs: of tuning them.
    """

    model: LanguageModel
    weights: str | None = None
    folder: Path | None = None
    costs: Mapping[str, Any] = field(default_factory=dict)


def language_model(
    config: TeacherConfig, precision: str | None = None, tuned: Path | None = None
) -> LanguageModel:
    """The LLM of `config`, in its precision unless another is named; see `load_language_model`."""
    return load_language_model(
        config.model,
        precision or config.precision,
        config.device,
        layers=config.layers,
        tuned=tuned,
    )


def tune_if_wanted(dataset: Dataset, config: TeacherConfig, folder: Path) -> None:
    """Tunes the LLM unless it was tuned so, or is to stay as it came; goes on after a kill."""
    target = _folder(dataset, config, folder)
    if config.tuning == "none" or (target / DONE_NAME).exists():
        return
    torch.manual_seed(config.seed)  # of all that begins at random
    model = language_model(config, precision="float32")
    material = Material(model, dataset, config)
    is_retrieval = config.kind == "retrieval"
    objective = MatchingObjective(material) if is_retrieval else ResponseObjective(material)
    tune(model, objective, config, target)


def load_tuned(dataset: Dataset, config: TeacherConfig, folder: Path) -> TunedModel:
    """The LLM that `config` wants; `folder` holds those that were tuned.

    Raises:
        ConfigError: the LLM cannot be loaded.
        KnowledgeError: it was not tuned yet.
    """
    if config.tuning == "none":
        return TunedModel(language_model(config))
    target = _folder(dataset, config, folder)
    if not (target / DONE_NAME).exists():
        raise KnowledgeError(f"{target}: no tuned LLM; make it with `python -m training.teach`")
    best = target / BEST_NAME
    model = language_model(config, tuned=best)
    progress = json.loads((target / DONE_NAME).read_text(encoding="utf-8"))
    return TunedModel(model, _hash(best), best, {"tuning": progress})


def _folder(dataset: Dataset, config: TeacherConfig, folder: Path) -> Path:
    settings = config.told_apart(set(SETTINGS_OF_WEIGHTS))
    return folder / fingerprint(PROMPT_VERSION, dataset.fingerprint, settings)


def _hash(folder: Path) -> str:
    """Of all weights in `folder`, adapter or model and matcher."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.pt")]):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
