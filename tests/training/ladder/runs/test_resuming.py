"""A ladder does nothing twice: what was measured stays, and training goes on from training."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.ladder.conftest import climb, records
from training.distillation.job import Job, TrainedStudent
from training.distillation.trainer import Trainer
from training.evaluation.row_names import COLD_ROW
from training.ladder import __main__ as ladder


def test_what_was_measured_is_not_measured_again(config: Path) -> None:
    narrow = ("--students", "caser", "--rows", "CE", "--seeds", "0")
    climb(config, *narrow)
    runs = config.parent / "results" / "runs" / "chain"
    before = {path.name: path.stat().st_mtime_ns for path in runs.iterdir()}

    climb(config, *narrow)
    assert {path.name: path.stat().st_mtime_ns for path in runs.iterdir()} == before

    climb(config, "--students", "caser", "--rows", "CE", "--seeds", "0", "1")
    assert {path.name for path in runs.iterdir()} > set(before)


def test_cold_items_get_their_bonus_without_a_second_training(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = epochs_trained(monkeypatch)

    climb(config, "--students", "caser", "--seeds", "0", "--rows", COLD_ROW, "DLLM2Rec")

    assert epochs == [False]  # of the student without the bonus
    assert {line["row"] for line in records(config) if line["student"]} == {"DLLM2Rec", COLD_ROW}


def test_where_nothing_is_to_be_chosen_all_seeds_are_due_at_once(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    due: list[list[str]] = []

    def watched(work: Any, runs: Any, _: Any) -> Iterator[str]:
        due.append(sorted(each.name for each in runs))
        yield from map(work, runs)

    monkeypatch.setattr(ladder, "side_by_side", watched)

    climb(config, "--students", "caser", "--seeds", "0", "1", "--rows", "CE", "DLLM2Rec")

    everything = ["distilled-0", "distilled-1", "plain-0", "plain-1"]
    assert [names for names in due if set(names) & set(everything)] == [everything]


def test_no_state_of_a_trial_that_was_not_chosen_stays(config: Path) -> None:
    """Where all trials are measured before the ladder goes on too."""
    text = config.read_text()
    for old, new in (("[1e-2]", "[1e-9, 2e-2]"), ("[0.3]", "[0.3, 0.4]"), ("[0.1]", "[0.1, 0.2]")):
        text = text.replace(old, new)
    config.write_text(text)
    narrow = ("--students", "caser", "--rows", "CE")
    states = config.parent / "work" / "chain" / "ladder"
    climb(config, *narrow, "--seeds", "0", "--keep-states")
    assert len(list(states.iterdir())) == 2

    climb(config, *narrow)

    assert not list(states.iterdir())


def test_another_price_of_cold_items_costs_no_training_where_states_are_kept(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = ("--students", "caser", "--seeds", "0", "--rows", COLD_ROW)
    climb(config, *narrow, "--keep-states")
    epochs = epochs_trained(monkeypatch)
    priced = config.read_text().replace("[distillation]", "[distillation]\ncold_price = 0.1")
    config.write_text(priced)

    climb(config, *narrow)

    assert epochs == []
    assert not list((config.parent / "work" / "chain" / "ladder").iterdir())


def test_who_goes_on_from_anothers_training_ranks_as_one_that_was_trained_alone(
    config: Path,
) -> None:
    narrow = ("--students", "caser", "--seeds", "0", "--rows", COLD_ROW)
    climb(config, *narrow, "DLLM2Rec")

    climb(config, *narrow, out="alone")

    together, alone = (ranks_by_run(config.parent / each) for each in ("results", "alone"))
    assert len(together) == 2  # with and without
    for stamp, ranks in alone.items():
        for split in ("validation", "test"):
            assert (ranks[split] == together[stamp][split]).all()


def ranks_by_run(out: Path) -> dict[str, dict[str, NDArray[np.uint8]]]:
    files = (out / "runs" / "chain").glob("*.npz")
    kept = {path.name: np.load(path) for path in files}
    return {name: each for name, each in kept.items() if "caser" in str(each["facts"])}


def test_with_another_folder_for_its_results_a_ladder_trains_all_anew(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = ("--students", "caser", "--seeds", "0", "--rows", "DLLM2Rec")
    climb(config, *narrow)
    assert [*(config.parent / "work" / "chain" / "ladder").iterdir()] == []
    epochs = epochs_trained(monkeypatch)

    climb(config, *narrow, out="others")

    assert len(epochs) == 1


def epochs_trained(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each epoch that is trained from now on: whether its job places cold items in the end."""
    epochs: list[bool] = []
    in_training: list[Job] = []
    train, train_epoch = Job.train, Trainer._epoch

    def noted(self: Job, *arguments: Any) -> TrainedStudent:
        in_training[:] = [self]
        return train(self, *arguments)

    def counted(self: Trainer, *arguments: Any) -> None:
        epochs.append(in_training[0].settings.cold_bonus)
        train_epoch(self, *arguments)

    monkeypatch.setattr(Job, "train", noted)
    monkeypatch.setattr(Trainer, "_epoch", counted)
    return epochs
