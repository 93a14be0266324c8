"""A ladder small enough to climb in seconds."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from training.ladder import __main__ as ladder
from training.teacher.knowledge import DESCRIPTION_NAME

LADDER = """
[ladder]
seeds = [0]
headline_seeds = [0, 1]
num_resamples = 100
[ladder.grids]
plain = { "training.learning_rate" = [1e-2] }
ranking = { "distillation.ranking_weight" = [0.3] }
embeddings = { "distillation.offset_dropout" = [0.1] }
method = { "distillation.ranking_weight" = [0.3] }
"""


@pytest.fixture
def config(chain_config: Path) -> Path:
    chain_config.write_text(chain_config.read_text().replace("max_epochs = 3", "max_epochs = 1"))
    with chain_config.open("a") as file:
        file.write(LADDER)
    return chain_config


def climb(config: Path, *options: str, out: str = "results") -> int:
    folder = config.parent
    fixed = ["--work", str(folder / "work"), "--out", str(folder / out), "--workers", "1"]
    return ladder.main([str(config), *fixed, *options])


def knowledge_of_titles(config: Path, num_lists: int | None = None, **facts: object) -> None:
    """That of the first teacher as another's, with `facts` and so many lists for training."""
    first = config.parent / "work" / "chain" / "knowledge"
    other = shutil.copytree(first, first.with_name("knowledge-titles"))
    answers, description = other / "answers-train.npz", other / DESCRIPTION_NAME
    with np.load(answers) as kept:
        np.savez(answers, **{name: each[:num_lists] for name, each in kept.items()})
    told = json.loads(description.read_text())
    told["provenance"] |= facts
    told["sha256"][answers.name] = hashlib.sha256(answers.read_bytes()).hexdigest()
    description.write_text(json.dumps(told))


def records(config: Path) -> list[dict[str, str]]:
    with (config.parent / "results" / "chain.csv").open() as file:
        return list(csv.DictReader(file))
