"""A ladder repeats no work: measured runs stay, and training resumes from saved states."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.ladder.conftest import records, run_ladder
from tests.training.ladder.stored_arrays import stored_arrays
from training.distillation.job import Job, TrainedStudent
from training.distillation.trainer import Trainer
from training.evaluation.row_names import COLD_ROW
from training.ladder.runs import schedule


def test_a_measured_run_is_not_measured_again(config: Path) -> None:
    narrow = ("--students", "caser", "--rows", "CE", "--seeds", "0")
    run_ladder(config, *narrow)
    runs = config.parent / "results" / "runs" / "chain"
    before = {path.name: path.stat().st_mtime_ns for path in runs.iterdir()}

    run_ladder(config, *narrow)
    assert {path.name: path.stat().st_mtime_ns for path in runs.iterdir()} == before

    run_ladder(config, "--students", "caser", "--rows", "CE", "--seeds", "0", "1")
    assert {path.name for path in runs.iterdir()} > set(before)


def test_cold_items_get_their_bonus_without_a_second_training(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = epochs_trained(monkeypatch)

    run_ladder(config, "--students", "caser", "--seeds", "0", "--rows", COLD_ROW, "DLLM2Rec")

    assert epochs == [False]  # of the student without the bonus
    assert {line["row"] for line in records(config) if line["student"]} == {"DLLM2Rec", COLD_ROW}


def test_without_a_choice_among_trials_all_seeds_are_trained_at_once(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    due: list[list[str]] = []

    def recorded(work: Any, runs: Any, _: Any) -> Iterator[str]:
        due.append(sorted(each.name for each in runs))
        yield from map(work, runs)

    monkeypatch.setattr(schedule, "side_by_side", recorded)

    run_ladder(config, "--students", "caser", "--seeds", "0", "1", "--rows", "CE", "DLLM2Rec")

    everything = ["distilled-0", "distilled-1", "plain-0", "plain-1"]
    assert [names for names in due if set(names) & set(everything)] == [everything]


def test_no_state_of_a_trial_that_was_not_chosen_stays(config: Path) -> None:
    """This holds too where all trials were measured by an earlier command."""
    text = config.read_text()
    for old, new in (("[1e-2]", "[1e-9, 2e-2]"), ("[0.3]", "[0.3, 0.4]"), ("[0.1]", "[0.1, 0.2]")):
        text = text.replace(old, new)
    config.write_text(text)
    narrow = ("--students", "caser", "--rows", "CE")
    states = config.parent / "work" / "chain" / "ladder"
    run_ladder(config, *narrow, "--seeds", "0", "--keep-states")
    assert len(list(states.iterdir())) == 2

    run_ladder(config, *narrow)

    assert not list(states.iterdir())


def test_another_price_of_cold_items_costs_no_training_where_states_are_kept(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = ("--students", "caser", "--seeds", "0", "--rows", COLD_ROW)
    run_ladder(config, *narrow, "--keep-states")
    epochs = epochs_trained(monkeypatch)
    priced = config.read_text().replace("[distillation]", "[distillation]\ncold_price = 0.1")
    config.write_text(priced)

    run_ladder(config, *narrow)

    assert epochs == []
    assert not list((config.parent / "work" / "chain" / "ladder").iterdir())


def test_a_student_that_continues_anothers_training_ranks_as_one_trained_separately(
    config: Path,
) -> None:
    narrow = ("--students", "caser", "--seeds", "0", "--rows", COLD_ROW)
    run_ladder(config, *narrow, "DLLM2Rec")

    run_ladder(config, *narrow, out="separate")

    continued, separate = (ranks_by_run(config.parent / each) for each in ("results", "separate"))
    assert len(continued) == 2  # with and without
    for stamp, ranks in separate.items():
        for split in ("validation", "test"):
            assert (ranks[split] == continued[stamp][split]).all()


def ranks_by_run(out: Path) -> dict[str, dict[str, NDArray[np.uint8]]]:
    files = (out / "runs" / "chain").glob("*.npz")
    stored = {path.name: stored_arrays(path) for path in files}
    return {name: each for name, each in stored.items() if "caser" in str(each["facts"])}


def test_a_ladder_with_another_folder_of_results_trains_everything_again(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = ("--students", "caser", "--seeds", "0", "--rows", "DLLM2Rec")
    run_ladder(config, *narrow)
    assert [*(config.parent / "work" / "chain" / "ladder").iterdir()] == []
    epochs = epochs_trained(monkeypatch)

    run_ladder(config, *narrow, out="others")

    assert len(epochs) == 1


def epochs_trained(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each epoch that is trained from now on: whether its job places cold items in the end."""
    epochs: list[bool] = []
    current: list[Job] = []
    train, train_epoch = Job.train, Trainer._epoch

    def recorded(self: Job, *arguments: Any) -> TrainedStudent:
        current[:] = [self]
        return train(self, *arguments)

    def counted(self: Trainer, *arguments: Any) -> None:
        epochs.append(current[0].settings.cold_bonus)
        train_epoch(self, *arguments)

    monkeypatch.setattr(Job, "train", recorded)
    monkeypatch.setattr(Trainer, "_epoch", counted)
    return epochs
