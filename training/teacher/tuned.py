"""The LLM of a teacher, as it is or as it was tuned, ready for use."""

from dataclasses import dataclass
from pathlib import Path

from training.config import TeacherConfig
from training.data.dataset import Dataset
from training.teacher.language_model import LanguageModel, load_language_model
from training.teacher.matching import Matcher
from training.teacher.prompts import phrasebook
from training.teacher.writing import Engine, LocalEngine


@dataclass(frozen=True)
class TunedModel:
    """An LLM, the hash of its tuned weights and the matcher they were tuned with, if any."""

    model: LanguageModel
    weights: str | None = None
    matcher: Matcher | None = None


@dataclass(frozen=True)
class LoadedEngine:
    """What writes, and the hash of its tuned weights."""

    engine: Engine
    weights: str | None = None


def load_tuned(dataset: Dataset, config: TeacherConfig, folder: Path) -> TunedModel:
    """The LLM that `config` wants; `folder` holds those that were tuned.

    Raises:
        ConfigError: the LLM cannot be loaded.
        KnowledgeError: it was not tuned yet.
    """
    return TunedModel(load_language_model(config.model, config.precision, config.device))


def load_engine(dataset: Dataset, config: TeacherConfig, folder: Path) -> LoadedEngine:
    """What writes for a generative teacher; raises as `load_tuned`."""
    tuned = load_tuned(dataset, config, folder)
    book = phrasebook(tuned.model.tokenizer, dataset.catalog)
    return LoadedEngine(LocalEngine(tuned.model, book, config), tuned.weights)
