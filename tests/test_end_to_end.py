"""Runs the whole pipeline on two CSV files, with a real LLM, student and service."""

import csv
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import export.__main__ as export_program
from service.app import create_app
from service.settings import Settings
from training import distill, evaluate, prepare, teach

FRUITS = ("Apple", "Banana", "Cherry", "Date", "Elderberry", "Fig", "Grape", "Honeydew")
EXPERIMENT = """
name = "fruits"
[data]
source = "tables"
interactions = "{folder}/interactions.csv"
items = "{folder}/items.csv"
min_interactions = 1
[teacher]
epochs = 3
projection_size = 16
list_length = 3
[student]
max_history_length = 8
hidden_size = 16
num_layers = 1
[training]
seeds = [0]
batch_size = 4
learning_rate = 1e-2
max_epochs = 30
patience = 30
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle made by all programs in turn, from customers who buy fruits in a fixed order."""
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    config, work = folder / "fruits.toml", folder / "work"
    config.write_text(EXPERIMENT.format(folder=folder))
    for program in (prepare, teach, distill, evaluate, export_program):
        assert program.main([str(config), "--work", str(work)]) == 0
    return work / "fruits" / "bundle"


def write_shop(folder: Path) -> None:
    """Writes the purchases of 40 customers: each buys five fruits in alphabetical order."""
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
