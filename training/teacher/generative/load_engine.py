"""Loads the engine of a generative teacher: a local LLM, tuned or not, or a server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.data.dataset import Dataset
from training.settings.teacher import REMOTE_PREFIX, TeacherConfig
from training.teacher.generative.engine import Engine, LocalEngine
from training.teacher.generative.remote_engine import remote_engine
from training.teacher.llm.prompts import prompt_builder
from training.teacher.tuning.tuned_model import load_tuned


@dataclass(frozen=True)
class LoadedEngine:
    """An engine, with the hash and the cost of its tuned weights.

    Attributes:
        engine: the engine.
        weights: hash of the tuned weights; None if the LLM is not tuned or is on a server.
        costs: a mapping from "tuning" to the progress of the tuning, with tokens and seconds; empty
            if `weights` is None.
    """

    engine: Engine
    weights: str | None = None
    costs: Mapping[str, Any] = field(default_factory=dict)


def load_engine(dataset: Dataset, config: TeacherConfig, folder: Path) -> LoadedEngine:
    """Loads the engine of the LLM that `config.model` names.

    Args:
        dataset: the dataset, whose catalog the prompts are made from.
        config: settings of the teacher.
        folder: parent folder of all tuned weights.

    Raises:
        ConfigError: the LLM cannot be loaded, or beam search is on for a server.
        KnowledgeError: `config` asks for tuned weights, and their tuning is missing or not
            complete.
    """
    if config.model.startswith(REMOTE_PREFIX):
        return LoadedEngine(remote_engine(config, dataset.catalog))
    tuned = load_tuned(dataset, config, folder)
    builder = prompt_builder(tuned.model.tokenizer, dataset.catalog)
    engine = LocalEngine(tuned.model, builder, config)
    return LoadedEngine(engine, tuned.weights, tuned.costs)
