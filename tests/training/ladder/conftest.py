"""A ladder small enough to climb in seconds."""

import csv
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from training.knowledge import DESCRIPTION_NAME
from training.ladder import __main__ as ladder
from training.stage import write_arrays

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


def knowledge_of_titles(
    config: Path, num_lists: int | None = None, num_held_out: int | None = None, **facts: object
) -> None:
    """That of the first teacher as another's, with `facts` and so many answers a split."""
    first = config.parent / "work" / "chain" / "knowledge"
    other = shutil.copytree(first, first.with_name("knowledge-titles"))
    description = other / DESCRIPTION_NAME
    told = json.loads(description.read_text())
    told["provenance"] |= facts
    for split, count in (
        ("train", num_lists),
        ("validation", num_held_out),
        ("test", num_held_out),
    ):
        answers = other / f"answers-{split}.npz"
        rewrite(answers, told, {name: each[:count] for name, each in np.load(answers).items()})
    description.write_text(json.dumps(told))


def rewrite(
    answers: Path, told: dict[str, dict[str, str]], arrays: Mapping[str, NDArray[np.generic]]
) -> None:
    """Other arrays, and their hash where the description tells it."""
    write_arrays(answers, **arrays)
    told["sha256"][answers.name] = hashlib.sha256(answers.read_bytes()).hexdigest()


def records(config: Path) -> list[dict[str, str]]:
    with (config.parent / "results" / "chain.csv").open() as file:
        return list(csv.DictReader(file))
