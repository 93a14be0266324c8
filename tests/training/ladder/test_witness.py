"""The program `training.ladder.witness`: rankings of an outside model become a line of a report."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.ladder.conftest import records, run_ladder
from training.data.dataset import Dataset, Split
from training.data.storage import load_dataset
from training.ladder import witness
from training.stage import write_arrays

NARROW = ("--students", "caser", "--seeds", "0", "--rows", "CE")


@pytest.fixture
def dataset(config: Path) -> Dataset:
    return load_dataset(config.parent / "work" / "chain" / "dataset")


def facts_of(dataset: Dataset, **others: object) -> dict[str, object]:
    return {
        "settings": {"model": "SASRec", "epochs": 9},
        "rectools": "0.19.0",
        "fingerprint": dataset.fingerprint,
        "seconds": 12.0,
        "best_epoch": 7,
    } | others


def right_at(place: int, dataset: Dataset, split: Split) -> NDArray[np.int32]:
    """Rankings with the next item at one place; 0, which is no item, stands everywhere else."""
    rows = dataset.example_rows(split)
    rankings = np.zeros((len(rows), 20), dtype=np.int32)
    rankings[:, place - 1] = dataset.item_indices[rows]
    return rankings


def store(config: Path, facts: Mapping[str, object], **rankings: NDArray[np.int32]) -> int:
    path = config.parent / "rankings.npz"
    write_arrays(path, facts=np.array(json.dumps(facts)), **rankings)
    folder = config.parent
    options = ["--work", str(folder / "work"), "--out", str(folder / "results")]
    return witness.main([str(config), str(path), *options])


def test_rankings_of_an_outside_model_become_a_line_without_a_teacher(
    config: Path, dataset: Dataset
) -> None:
    validation = right_at(1, dataset, Split.VALIDATION)
    test = right_at(3, dataset, Split.TEST)

    assert store(config, facts_of(dataset), validation=validation, test=test) == 0
    assert run_ladder(config, *NARROW) == 0

    found = {
        line["split"]: line
        for line in records(config)
        if (line["row"], line["targets"], line["metric"]) == ("RecTools SASRec", "all", "NDCG@20")
    }
    assert float(found["validation"]["mean"]) == 1
    assert float(found["test"]["mean"]) == 0.5  # 1 / log2(3 + 1)
    assert (found["test"]["kind"], found["test"]["teacher_free"]) == ("ranker", "yes")
    report = (config.parent / "results" / "chain.md").read_text()
    assert "|  | RecTools SASRec |  |  | model = SASRec, epochs = 9 |" in report


@pytest.mark.parametrize(
    ("facts", "shape", "item", "message"),
    [
        ({"fingerprint": "another"}, 20, 0, "made for dataset another, not "),
        ({"settings": {"model": "BERT"}}, 20, 0, "model 'RecTools BERT' is none of RecTools"),
        ({}, 19, 0, "validation has shape (30, 19)"),
        ({}, 20, 99, "items from 0 to 99; allowed are (30, 20) and 0 to 12"),
        ({}, 20, 1, "which is in the history; a ranker must leave out seen items"),
    ],
    ids=["dataset", "model", "length", "item", "seen"],
)
def test_rankings_that_cannot_be_compared_are_refused_with_a_reason(
    config: Path,
    dataset: Dataset,
    capsys: pytest.CaptureFixture[str],
    facts: dict[str, object],
    shape: int,
    item: int,
    message: str,
) -> None:
    rankings = np.zeros((30, shape), dtype=np.int32)
    rankings[0, 0] = item

    code = store(config, facts_of(dataset, **facts), validation=rankings, test=rankings)

    assert code == 2
    assert message in capsys.readouterr().err
    assert not list((config.parent / "results").rglob("*.npz"))


def test_a_file_of_something_else_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config.parent / "rankings.npz"
    path.write_bytes(b"nothing")

    assert witness.main([str(config), str(path), "--work", str(config.parent / "work")]) == 2
    assert "not a file of rankings" in capsys.readouterr().err
