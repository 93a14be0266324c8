"""A ladder that runs in seconds."""

import csv
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.conftest import make_chain, write_chain
from tests.training.ladder.stored_arrays import stored_arrays
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


NARROW = ("--students", "caser", "--seeds", "0", "--rows", "CE", "DLLM2Rec")


@pytest.fixture
def config(chain_config: Path) -> Path:
    return with_ladder(chain_config)


def with_ladder(chain_config: Path) -> Path:
    """Adds a ladder to an experiment file."""
    chain_config.write_text(chain_config.read_text().replace("max_epochs = 3", "max_epochs = 1"))
    with chain_config.open("a") as file:
        file.write(LADDER)
    return chain_config


@pytest.fixture(scope="module")
def reported_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of an experiment whose narrow ladder has run."""
    config = with_ladder(write_chain(make_chain(), tmp_path_factory.mktemp("reported")))
    command = ["training.ladder", str(config), *NARROW]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)  # the report names it
        assert run_ladder(config, *NARROW) == 0
    return config.parent


@pytest.fixture
def reported(reported_once: Path, tmp_path: Path) -> Path:
    """An experiment file whose narrow ladder has run; each test gets a copy of all its files."""
    shutil.copytree(reported_once, tmp_path, dirs_exist_ok=True)
    report = tmp_path / "results" / "chain.md"
    report.write_text(report.read_text().replace(str(reported_once), str(tmp_path)))
    return tmp_path / "chain.toml"


def run_ladder(config: Path, *options: str, out: str = "results") -> int:
    folder = config.parent
    fixed = ["--work", str(folder / "work"), "--out", str(folder / out), "--workers", "1"]
    return ladder.main([str(config), *fixed, *options])


def knowledge_of_titles(
    config: Path, num_lists: int | None = None, num_held_out: int | None = None, **facts: object
) -> None:
    """Copies the first teacher's knowledge as that of a titles teacher.

    Args:
        config: of the experiment.
        num_lists: answers to training examples; all where None.
        num_held_out: answers to examples of each held-out split; all where None.
        facts: replace facts of the knowledge's provenance.
    """
    first = config.parent / "work" / "chain" / "knowledge"
    other = shutil.copytree(first, first.with_name("knowledge-titles"))
    path = other / DESCRIPTION_NAME
    description = json.loads(path.read_text())
    description["provenance"] |= facts
    for split, count in (
        ("train", num_lists),
        ("validation", num_held_out),
        ("test", num_held_out),
    ):
        answers = other / f"answers-{split}.npz"
        arrays = {name: each[:count] for name, each in stored_arrays(answers).items()}
        rewrite(answers, description, arrays)
    path.write_text(json.dumps(description))


def rewrite(
    answers: Path, description: dict[str, dict[str, str]], arrays: Mapping[str, NDArray[np.generic]]
) -> None:
    """Writes other arrays to a file of answers, and their hash into `description`."""
    write_arrays(answers, **arrays)
    description["sha256"][answers.name] = hashlib.sha256(answers.read_bytes()).hexdigest()


def records(config: Path) -> list[dict[str, str]]:
    with (config.parent / "results" / "chain.csv").open() as file:
        return list(csv.DictReader(file))
