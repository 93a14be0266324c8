"""Runs README's commands on two CSV files, with a real LLM, student and service."""

import csv
import os
import re
import shlex
import subprocess
from contextlib import chdir
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from distilled_recommender import app
from service.app import create_app
from service.settings import Settings
from tests.exported_once import exported_once
from tests.smollm2 import loaded_from, smollm2_path
from training.distillation import process_pool

__all__ = ["exported_once", "smollm2_path"]  # fixtures

ROOT = Path(__file__).parents[1]
FRUITS = ("Apple", "Banana", "Cherry", "Date", "Elderberry", "Fig", "Grape", "Honeydew")
SMALLER = {
    "min_interactions = 5": "min_interactions = 1",
    'kind = "titles"': 'kind = "titles"\nepochs = 3\nprojection_size = 16\nlist_length = 3',
    "dropout = 0.4": "max_history_length = 8\nhidden_size = 16\nnum_layers = 1",
    "batch_size = 32": "seeds = [0]\nbatch_size = 4",
    "learning_rate = 3e-3": "learning_rate = 1e-2",
    "max_epochs = 100": "max_epochs = 30",
    "patience = 15": "patience = 30",
    "ranking_weight = 0.1": "ranking_weight = 0.1\nlist_length = 3",
}
"""Lines of configs/example.toml, each with what takes its place for a shop of eight items."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, smollm2_path: Path) -> Path:
    """A bundle made by README's commands, from customers who buy fruits in a fixed order."""
    folder = tmp_path_factory.mktemp("shop")
    copy, stages, serve = readme_commands()
    write_shop(folder / "data")
    make_smaller_copy(copy, folder)
    (served,) = programs_of(serve)
    with chdir(folder), loaded_from(smollm2_path), pytest.MonkeyPatch.context() as patch:
        patch.setattr(process_pool, "usable_cores", lambda: 1)  # each process imports torch
        for arguments in programs_of(stages):
            assert app.main(arguments) == 0, arguments
    assert served[:2] == ["serve", "work/shop/bundle"]
    return folder / served[1]


def readme_commands() -> list[str]:
    """Returns the commands of README's chapter on one's own data."""
    chapter = (ROOT / "README.md").read_text("utf-8").partition("## Your own data")[2]
    (block,) = re.findall(r"^```sh\n(.*?)^```$", chapter.partition("\n## ")[0], re.DOTALL | re.M)
    commands: list[str] = block.splitlines()
    return commands


def make_smaller_copy(command: str, folder: Path) -> None:
    """Does what `cp` in README does, within `folder`, and makes the experiment small."""
    program, source, target = command.split()
    assert program == "cp"
    text = (ROOT / source).read_text("utf-8")
    for line, smaller in SMALLER.items():
        assert line in text
        text = text.replace(line, smaller)
    (folder / target).parent.mkdir()
    (folder / target).write_text(text)


def programs_of(command: str) -> list[list[str]]:
    """Returns the arguments of each `distilled-recommender` that a `make` command would run."""
    assert command.startswith("make ")
    dry_run = [*shlex.split(command), "--dry-run", "--directory", str(ROOT)]
    path_alone = {"PATH": os.environ["PATH"]}  # without the variables of a `make test` around it
    printed = subprocess.run(
        dry_run, env=path_alone, capture_output=True, text=True, check=True
    ).stdout
    found = re.findall(r"^\S*/bin/distilled-recommender (.+)$", printed, re.MULTILINE)
    return [shlex.split(each) for each in found]


def write_shop(folder: Path) -> None:
    """Writes the purchases of 40 customers: each buys five fruits in alphabetical order."""
    folder.mkdir()
    with (folder / "items.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("item_id", "title"), *((name[0], name) for name in FRUITS)])
    with (folder / "interactions.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("user_id", "item_id", "timestamp"))
        for customer in range(40):
            for step in range(5):
                fruit = FRUITS[(customer + step) % len(FRUITS)]
                lines.writerow((f"customer-{customer}", fruit[0], customer * 10 + step))


@pytest.mark.slow
def test_two_files_become_a_service_that_recommends_the_next_item(bundle: Path) -> None:
    with TestClient(create_app(Settings(bundle_path=bundle))) as client:
        answer = client.post("/v1/recommendations", json={"history": ["B", "C"], "k": 3})
    assert answer.status_code == 200
    assert answer.json()["source"] == "student"
    assert answer.json()["items"][0]["title"] == "Date"


@pytest.mark.slow
def test_the_served_model_reports_its_parity_error_and_its_teacher(bundle: Path) -> None:
    with TestClient(create_app(Settings(bundle_path=bundle))) as client:
        model = client.get("/v1/model").json()
    assert model["parity_error"] <= 1e-4
    assert "SmolLM2" in str(model) or "smollm2" in str(model)
