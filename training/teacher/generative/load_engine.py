"""Loads the engine of a generative teacher: a local LLM, tuned or not, or one behind a server."""

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
    """An engine; `weights` and `costs` are those of its `TunedModel`, if it has one."""

    engine: Engine
    weights: str | None = None
    costs: Mapping[str, Any] = field(default_factory=dict)


def load_engine(dataset: Dataset, config: TeacherConfig, folder: Path) -> LoadedEngine:
    """Loads the engine that `config` names; raises what `load_tuned` and `remote_engine` raise."""
    if config.model.startswith(REMOTE_PREFIX):
        return LoadedEngine(remote_engine(config, dataset.catalog))
    tuned = load_tuned(dataset, config, folder)
    builder = prompt_builder(tuned.model.tokenizer, dataset.catalog)
    engine = LocalEngine(tuned.model, builder, config)
    return LoadedEngine(engine, tuned.weights, tuned.costs)
