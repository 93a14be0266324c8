"""The whole road on a shop's two files: a real LLM, a real student, a real service."""

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
    """A bundle made by the programs, in their order, from customers who buy in the same order."""
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    config, work = folder / "fruits.toml", folder / "work"
    config.write_text(EXPERIMENT.format(folder=folder))
    for program in (prepare, teach, distill, evaluate, export_program):
        assert program.main([str(config), "--work", str(work)]) == 0
    return work / "fruits" / "bundle"


def write_shop(folder: Path) -> None:
    """Forty customers; each starts somewhere and buys five fruits in alphabetical order."""
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
def test_two_files_become_a_service_that_knows_what_comes_next(bundle: Path) -> None:
    with TestClient(create_app(Settings(bundle_path=bundle))) as client:
        answer = client.post("/v1/recommendations", json={"history": ["B", "C"], "k": 3})
    assert answer.status_code == 200
    assert answer.json()["source"] == "student"
    assert answer.json()["items"][0]["title"] == "Date"


@pytest.mark.slow
def test_the_served_model_says_how_good_it_is_and_where_it_comes_from(bundle: Path) -> None:
    with TestClient(create_app(Settings(bundle_path=bundle))) as client:
        model = client.get("/v1/model").json()
    assert model["parity_error"] <= 1e-4
    assert "SmolLM2" in str(model) or "smollm2" in str(model)
