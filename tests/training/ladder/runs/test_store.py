"""The file of a run in the store."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.distillation.job import Job
from training.errors import ResultError
from training.evaluation.baselines.runs import BaselineRun
from training.ladder.runs.store import Former, RunFacts, RunStore
from training.settings.experiment import DataConfig, Experiment, TrainingConfig

FACTS = RunFacts("popularity", 1.5, "a machine, 2 cores", ["abc", "def"], best_epoch=3)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """An empty store."""
    return RunStore(tmp_path / "runs", tmp_path / "states", "a machine")


@pytest.fixture
def run(tiny_dataset: Dataset, store: RunStore) -> BaselineRun:
    """A run that is in the store."""
    run = BaselineRun("popularity", tiny_dataset)
    store.save(run, by_alphabet, FACTS)
    return run


def by_alphabet(rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.tile(np.array([0, 5, 4, 3, 2, 1], dtype=np.float32), (len(rows), 1))


def test_a_run_comes_back_with_its_facts_and_ranks(run: BaselineRun, store: RunStore) -> None:
    """Ann's next item is a, which she has seen; bob's is e, ranked third, behind a and d."""
    assert store.has(run)
    assert store.facts(run) == FACTS
    test = store.evaluation(run, Split.TEST)
    assert test.rows.tolist() == [4, 7]
    assert test.ranks.tolist() == [0, 3]


def test_a_split_is_read_without_the_other(run: BaselineRun, store: RunStore) -> None:
    """So a choice by validation cannot depend on the test."""
    with np.load(store.file(run).path) as whole:
        arrays = {name: whole[name] for name in ("facts", "validation")}
    np.savez_compressed(store.file(run).path, **arrays)

    assert len(store.evaluation(run, Split.VALIDATION).ranks) == 1
    with pytest.raises(ResultError):
        store.evaluation(run, Split.TEST)


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04 half of one"])
def test_a_damaged_run_is_named(run: BaselineRun, store: RunStore, damage: bytes) -> None:
    store.file(run).path.write_bytes(damage)

    with pytest.raises(ResultError, match=f"{run.stamp}.npz: damaged"):
        store.evaluation(run, Split.TEST)


def test_a_flipped_byte_is_an_error_that_names_the_file_or_changes_nothing(
    run: BaselineRun, store: RunStore
) -> None:
    """Some bytes have no effect, such as the time of a file in the archive."""
    path = store.file(run).path
    whole, ranks = path.read_bytes(), store.evaluation(run, Split.TEST).ranks.tolist()
    named = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            assert store.facts(run) == FACTS
            assert store.evaluation(run, Split.TEST).ranks.tolist() == ranks
        except ResultError:
            named += 1
    assert named > len(whole) / 2


def test_ranks_of_other_examples_are_refused(run: BaselineRun, store: RunStore) -> None:
    np.savez_compressed(
        store.file(run).path, facts=np.array("{}"), test=np.zeros(7, dtype=np.uint8)
    )

    with pytest.raises(ResultError, match="damaged"):
        store.evaluation(run, Split.TEST)
    with pytest.raises(ResultError, match="damaged"):
        store.facts(run)


def test_the_stamp_of_a_baseline_depends_on_its_name_and_dataset(run: BaselineRun) -> None:
    other = replace(run.dataset, fingerprint="other")

    assert replace(run, name="last-item").stamp != run.stamp
    assert replace(run, dataset=other).stamp != run.stamp


@pytest.mark.parametrize(
    ("variant", "difference"), [("plain", "rule"), ("plain-pair-bonus", "search")]
)
def test_a_store_of_kept_runs_takes_a_run_of_an_older_version_and_says_so(
    tiny_dataset: Dataset, store: RunStore, variant: str, difference: Former
) -> None:
    data = DataConfig(source="movielens")
    training = TrainingConfig(pair_bonus=False)
    experiment = Experiment(name="tiny", data=data, training=training)
    job = Job(experiment, tiny_dataset, variant, 0, None)
    store.save(job, by_alphabet, FACTS)
    stored = store.file(job).path
    former = stored.rename(stored.with_stem(job.former_stamp))
    kept = replace(store, former=True)

    assert not store.has(job)
    assert kept.has(job)
    assert kept.facts(job) == replace(FACTS, former=difference)
    assert kept.evaluation(job, Split.TEST).ranks.tolist() == [0, 3]

    kept.save(job, by_alphabet, FACTS)
    assert kept.file(job).path == stored
    assert kept.facts(job) == FACTS
    assert former.exists()
