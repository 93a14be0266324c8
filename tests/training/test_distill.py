"""The programs `distill` and `evaluate`, from a dataset and knowledge on disk to a table."""

import json
from pathlib import Path

import numpy as np
import pytest

from training import distill, evaluate
from training.data.dataset import Dataset, Split
from training.data.storage import save_dataset
from training.stage import publish
from training.teacher.knowledge import Answers, Knowledge, save_knowledge

CONFIG = """
name = "chain"
[data]
source = "movielens"
[student]
max_history_length = 4
hidden_size = 16
num_layers = 1
[training]
seeds = [0, 1]
batch_size = 8
learning_rate = 1e-2
max_epochs = 3
[distillation]
list_length = 1
"""


def perfect_answers(dataset: Dataset, split: Split) -> Answers:
    rows = dataset.example_rows(split)
    return Answers(
        rows=rows,
        rankings=dataset.item_indices[rows][:, None].astype(np.int32),
        distances=np.zeros((len(rows), 1), dtype=np.float32),
        next_item_distances=np.zeros(len(rows), dtype=np.float32),
    )


@pytest.fixture
def config(chain_dataset: Dataset, tmp_path: Path) -> Path:
    """An experiment whose dataset and (all-knowing) teacher are there."""
    path = tmp_path / "chain.toml"
    path.write_text(CONFIG)
    folder = tmp_path / "work" / "chain"
    with publish(folder / "dataset", "stamp") as building:
        save_dataset(chain_dataset, building)
    embeddings = np.eye(chain_dataset.catalog.num_rows, 8, dtype=np.float32)
    knowledge = Knowledge(
        dataset_fingerprint=chain_dataset.fingerprint,
        train=perfect_answers(chain_dataset, Split.TRAIN),
        validation=perfect_answers(chain_dataset, Split.VALIDATION),
        test=perfect_answers(chain_dataset, Split.TEST),
        item_embeddings=embeddings,
        provenance={"model": "all-knowing"},
    )
    with publish(folder / "knowledge", "stamp") as building:
        save_knowledge(knowledge, building)
    return path


def run_distill(config: Path, *options: str) -> int:
    return distill.main([str(config), "--work", str(config.parent / "work"), *options])


def run_evaluate(config: Path) -> int:
    return evaluate.main([str(config), "--work", str(config.parent / "work")])


def checkpoints(config: Path) -> list[str]:
    return sorted(path.name for path in (config.parent / "work/chain/checkpoints").iterdir())


def test_every_variant_is_trained_with_every_seed(config: Path) -> None:
    assert run_distill(config) == 0

    assert checkpoints(config) == ["distilled-0", "distilled-1", "plain-0", "plain-1"]


def test_options_narrow_what_is_trained(config: Path) -> None:
    assert run_distill(config, "--variant", "plain", "--seed", "7") == 0

    assert checkpoints(config) == ["plain-7"]


def test_a_plain_student_needs_no_teacher(config: Path) -> None:
    (config.parent / "work/chain/knowledge").rename(config.parent / "away")

    assert run_distill(config, "--variant", "plain", "--seed", "0") == 0
    assert run_distill(config, "--variant", "distilled", "--seed", "0") == 2


def test_a_current_checkpoint_is_left_alone(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_distill(config, "--variant", "plain", "--seed", "0")
    weights = config.parent / "work/chain/checkpoints/plain-0/student.pt"
    before = weights.stat().st_mtime_ns
    capsys.readouterr()

    run_distill(config, "--variant", "plain", "--seed", "0")

    assert weights.stat().st_mtime_ns == before
    assert "plain-0 is current, nothing to do" in capsys.readouterr().out


def test_evaluate_prints_and_writes_a_row_for_everything_that_ranks(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_distill(config)

    assert run_evaluate(config) == 0

    results = json.loads((config.parent / "work/chain/results/results.json").read_text())
    rows = {row["name"]: row for row in results["rows"]}
    assert list(rows) == [
        "popularity",
        "last-item transitions",
        "teacher",
        "student plain",
        "student distilled",
    ]
    assert rows["teacher"]["metrics"]["HR@1"] == {"mean": 1.0, "sd": None}
    assert rows["last-item transitions"]["metrics"]["HR@1"]["mean"] == 1.0
    assert len(rows["student distilled"]["runs"]) == 2
    assert "student distilled" in capsys.readouterr().out


def test_a_student_of_other_settings_is_not_measured(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_distill(config)
    run_distill(config, "--seed", "7")  # of no seed of the experiment: passed over
    assert run_evaluate(config) == 0
    config.write_text(config.read_text().replace("[training]", "[training]\nweight_decay = 0.5"))
    assert run_evaluate(config) == 2
    assert "trained with other settings" in capsys.readouterr().err


def test_the_student_to_export_is_the_best_distilled_one_on_validation(config: Path) -> None:
    run_distill(config)
    run_evaluate(config)

    results = json.loads((config.parent / "work/chain/results/results.json").read_text())
    figures = {
        name: student["validation"]["NDCG@20"]
        for name, student in results["students"].items()
        if student["variant"] == "distilled"
    }
    assert figures[results["export"]] == max(figures.values())


def test_evaluate_without_checkpoints_says_what_to_run(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_evaluate(config) == 2
    assert "python -m training.distill" in capsys.readouterr().err
