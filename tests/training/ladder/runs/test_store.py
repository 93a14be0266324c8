"""What is kept of a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.errors import ResultError
from training.evaluation.baseline_runs import BaselineRun
from training.ladder.plan.plan import Cell, Plan
from training.ladder.runs.store import RunFacts, RunStore
from training.settings.experiment import DataConfig, Experiment

FACTS = RunFacts("popularity", 1.5, "a machine, 2 cores", ["abc", "def"], best_epoch=3)


@pytest.fixture
def shelf(tmp_path: Path) -> RunStore:
    """An empty one."""
    return RunStore(tmp_path / "runs", tmp_path / "states", "a machine")


@pytest.fixture
def run(tiny_dataset: Dataset, shelf: RunStore) -> BaselineRun:
    """A run that is kept."""
    run = BaselineRun("popularity", tiny_dataset)
    shelf.save(run, by_alphabet, FACTS)
    return run


def by_alphabet(rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.tile(np.array([0, 5, 4, 3, 2, 1], dtype=np.float32), (len(rows), 1))


def test_a_run_comes_back_with_its_facts_and_ranks(run: BaselineRun, shelf: RunStore) -> None:
    """Ann takes a, which she knows; bob, who read b and c, takes e, told after a and d."""
    assert shelf.has(run)
    assert shelf.facts(run) == FACTS
    test = shelf.evaluation(run, Split.TEST)
    assert test.rows.tolist() == [4, 7]
    assert test.ranks.tolist() == [0, 3]


def test_a_split_is_read_alone(run: BaselineRun, shelf: RunStore) -> None:
    """Who chooses by validation cannot have seen the test."""
    with np.load(shelf.file(run).path) as whole:
        kept = {name: whole[name] for name in ("facts", "validation")}
    np.savez_compressed(shelf.file(run).path, **kept)

    assert len(shelf.evaluation(run, Split.VALIDATION).ranks) == 1
    with pytest.raises(ResultError):
        shelf.evaluation(run, Split.TEST)


def test_a_trial_is_chosen_without_its_test_ranks(tiny_dataset: Dataset, shelf: RunStore) -> None:
    grids = {"plain": {"training.learning_rate": (1e-3, 2e-3)}}
    experiment = Experiment.model_validate(
        {
            "name": "tiny",
            "data": DataConfig(source="movielens"),
            "ladder": {"grids": {**grids, **other_grids()}},
        }
    )
    plan = Plan(experiment, tiny_dataset, teachers=[], rows=["CE"], shelf=shelf)
    cell = Cell("CE", "sasrec", None)
    for job, rank in zip(plan.trial_jobs(cell), (0, 1), strict=True):
        path = shelf.file(job).path
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, validation=np.array([rank], dtype=np.uint8))

    assert plan.choose(cell) == {"training.learning_rate": 2e-3}


def other_grids() -> dict[str, dict[str, tuple[float, ...]]]:
    return {
        "ranking": {"distillation.ranking_weight": (0.1, 0.3)},
        "embeddings": {"distillation.offset_dropout": (0.1, 0.3)},
        "method": {"distillation.ranking_weight": (0.1, 0.3)},
    }


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04 half of one"])
def test_a_damaged_run_is_named(run: BaselineRun, shelf: RunStore, damage: bytes) -> None:
    shelf.file(run).path.write_bytes(damage)

    with pytest.raises(ResultError, match=f"{run.stamp}.npz: not a whole run of 'tiny'"):
        shelf.evaluation(run, Split.TEST)


def test_a_flipped_byte_is_named_or_changes_nothing(run: BaselineRun, shelf: RunStore) -> None:
    """Some bytes say nothing: the time of a file in the archive."""
    path = shelf.file(run).path
    whole, ranks = path.read_bytes(), shelf.evaluation(run, Split.TEST).ranks.tolist()
    named = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            assert shelf.facts(run) == FACTS
            assert shelf.evaluation(run, Split.TEST).ranks.tolist() == ranks
        except ResultError:
            named += 1
    assert named > len(whole) / 2


def test_ranks_of_other_examples_are_refused(run: BaselineRun, shelf: RunStore) -> None:
    np.savez_compressed(
        shelf.file(run).path, facts=np.array("{}"), test=np.zeros(7, dtype=np.uint8)
    )

    with pytest.raises(ResultError, match="not a whole run"):
        shelf.evaluation(run, Split.TEST)
    with pytest.raises(ResultError, match="not a whole run"):
        shelf.facts(run)


def test_what_decides_a_baseline_is_in_its_stamp(run: BaselineRun) -> None:
    other = replace(run.dataset, fingerprint="other")

    assert replace(run, name="last-item").stamp != run.stamp
    assert replace(run, dataset=other).stamp != run.stamp
