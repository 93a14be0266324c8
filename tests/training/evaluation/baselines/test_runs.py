"""Baselines are tuned once for a dataset, and their ranks are read again."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.ladder.stored_arrays import stored_arrays
from training.data.dataset import Dataset, Split
from training.evaluation.baselines import runs
from training.evaluation.baselines.registry import BASELINES
from training.evaluation.baselines.runs import BaselineRun, baseline_evaluations
from training.stage import fingerprint


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of baselines, as they are tuned."""
    names: list[str] = []
    tune = BaselineRun.tune

    def recorded(self: BaselineRun) -> runs.TunedBaseline:
        names.append(self.name)
        return tune(self)

    monkeypatch.setattr(BaselineRun, "tune", recorded)
    return names


def test_every_baseline_of_the_registry_is_measured_on_both_held_out_splits(
    chain_dataset: Dataset, tmp_path: Path
) -> None:
    found = baseline_evaluations(chain_dataset, tmp_path)

    assert (
        list(found)
        == list(BASELINES)
        == [
            "popularity",
            "last-item",
            "VMIS-kNN",
            "order-aware kNN",
            "order-aware item kNN",
        ]
    )
    for split in (Split.VALIDATION, Split.TEST):
        rows = chain_dataset.example_rows(split)
        assert all(each[split].rows.tolist() == rows.tolist() for each in found.values())
        # In the ring the next item is always the one after the last.
        assert found["last-item"][split].ranks.tolist() == [1] * len(rows)


def test_a_refitted_baseline_is_tuned_on_validation_and_fitted_on_it_afterwards(
    chain_dataset: Dataset, tmp_path: Path
) -> None:
    """In validation and in test the seventh item after the last one follows, in training the next.

    Two of five training transitions and then a half of them: with train alone no test item ranks
    first, since a transition that was never counted is below all that were.
    """
    items = chain_dataset.item_indices.copy()
    for split in (Split.VALIDATION, Split.TEST):
        rows = chain_dataset.example_rows(split)
        items[rows] = (items[rows - 1] + 6) % 12 + 1
    dataset = replace(chain_dataset, item_indices=items)

    before = baseline_evaluations(dataset, tmp_path)
    refitted = baseline_evaluations(dataset, tmp_path, refitted=True)

    assert all(list(each) == [Split.TEST] for each in refitted.values())
    assert (
        refitted["last-item"][Split.TEST].rows.tolist() == dataset.example_rows(Split.TEST).tolist()
    )
    assert (
        refitted["last-item"][Split.TEST].metrics["NDCG@20"]
        > (before["last-item"][Split.TEST].metrics["NDCG@20"])
    )
    again = baseline_evaluations(dataset, tmp_path)
    assert again["last-item"][Split.VALIDATION].ranks.tolist() == (
        before["last-item"][Split.VALIDATION].ranks.tolist()
    )


def test_a_second_call_reads_the_same_ranks_and_tunes_nothing(
    chain_dataset: Dataset, tmp_path: Path, tuned: list[str]
) -> None:
    first = baseline_evaluations(chain_dataset, tmp_path)
    assert tuned == list(BASELINES)

    again = baseline_evaluations(chain_dataset, tmp_path)

    assert tuned == list(BASELINES)
    for name, splits in first.items():
        for split, evaluation in splits.items():
            assert again[name][split].ranks.tolist() == evaluation.ranks.tolist()


def test_another_dataset_is_measured_anew(
    chain_dataset: Dataset, contrary_dataset: Dataset, tmp_path: Path, tuned: list[str]
) -> None:
    baseline_evaluations(chain_dataset, tmp_path)
    fingerprint_of_other = contrary_dataset.content_fingerprint()
    contrary = replace(contrary_dataset, fingerprint=fingerprint_of_other)

    found = baseline_evaluations(contrary, tmp_path)

    assert tuned == [*BASELINES, *BASELINES]
    assert 1 not in found["last-item"][Split.TEST].ranks


def test_a_damaged_file_is_measured_anew(
    chain_dataset: Dataset, tmp_path: Path, tuned: list[str]
) -> None:
    baseline_evaluations(chain_dataset, tmp_path)
    path = tmp_path / "VMIS-kNN.npz"
    path.write_bytes(path.read_bytes()[:-100])

    baseline_evaluations(chain_dataset, tmp_path)

    assert tuned == [*BASELINES, "VMIS-kNN"]
    assert "validation" in stored_arrays(path)


def test_the_stamp_of_a_baseline_is_that_of_the_runs_kept_so_far(tiny_dataset: Dataset) -> None:
    """Ranks kept in docs/results are found by this stamp."""
    run = BaselineRun("popularity", tiny_dataset)
    assert run.stamp == fingerprint(1, "popularity", tiny_dataset.fingerprint)
