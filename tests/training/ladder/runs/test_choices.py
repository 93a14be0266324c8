"""The choice among the trials of a cell."""

from pathlib import Path

import numpy as np

from training.data.dataset import Dataset
from training.ladder.plan.plan import Cell, Plan
from training.ladder.runs.choices import Choices
from training.ladder.runs.store import RunStore
from training.settings.experiment import DataConfig, Experiment


def test_a_trial_is_chosen_without_its_test_ranks(tiny_dataset: Dataset, tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs", tmp_path / "states", "a machine")
    grids = {"plain": {"training.learning_rate": (1e-3, 2e-3)}}
    experiment = Experiment.model_validate(
        {
            "name": "tiny",
            "data": DataConfig(source="movielens"),
            "ladder": {"grids": {**grids, **other_grids()}},
        }
    )
    plan = Plan(experiment, tiny_dataset, teachers=[], rows=["CE"])
    cell = Cell("CE", "sasrec", None)
    for job, rank in zip(plan.trial_jobs(cell), (0, 1), strict=True):
        path = store.file(job).path
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, validation=np.array([rank], dtype=np.uint8))

    assert Choices(plan, store).choose(cell) == {"training.learning_rate": 2e-3}


def other_grids() -> dict[str, dict[str, tuple[float, ...]]]:
    return {
        "ranking": {"distillation.ranking_weight": (0.1, 0.3)},
        "embeddings": {"distillation.offset_dropout": (0.1, 0.3)},
        "method": {"distillation.ranking_weight": (0.1, 0.3)},
    }
