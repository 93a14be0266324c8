"""The ladder with refits: rows are trained once more, and the report shows both protocols."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.ladder.conftest import records, run_ladder
from tests.training.ladder.stored_arrays import stored_arrays
from training.distillation.job import Job, TrainedStudent
from training.evaluation.baselines.registry import BASELINES
from training.evaluation.row_names import COLD_ROW
from training.ladder.runs import perform, refits
from training.ladder.runs.store import RunStore
from training.stage import STAMP_NAME

NARROW = ("--students", "caser", "--seeds", "0")


def protocols(config: Path, row: str) -> dict[str, set[str]]:
    """The splits that a row has figures of, by protocol."""
    lines = [line for line in records(config) if line["row"] == row]
    return {
        each: {line["split"] for line in lines if line["protocol"] == each}
        for each in dict.fromkeys(line["protocol"] for line in lines)
    }


def test_both_protocols_stand_in_the_report_and_the_refitted_one_in_the_headlines(
    config: Path,
) -> None:
    assert run_ladder(config, *NARROW, "--rows", "CE", "DLLM2Rec", "--protocol", "both") == 0

    both = {"train": {"validation", "test"}, "refit": {"test"}}
    for row in ("CE", "DLLM2Rec", "popularity", "VMIS-kNN", "control title neighbours"):
        assert protocols(config, row) == both, row
    assert protocols(config, "teacher retrieval") == {"train": {"validation", "test"}}
    of_refits = [line for line in records(config) if line["protocol"] == "refit"]
    assert {line["targets"] for line in of_refits} == {"all", "warm"}  # no item of the ring is cold
    report = (config.parent / "results" / "chain.md").read_text()
    headings = [line for line in report.splitlines() if line.startswith("## ")]
    assert headings == [
        "## In short",
        "## How well each ranks, refitted",
        "## What each part is worth",
        "## Against teachers and neighbours",
        "## By stratum",
        "## What was not shown",
        "## How well each ranked before it was refitted",
        "## What each part was worth before",
        "## What was chosen",
        "## How it was made",
    ]
    assert "trained once more on training and validation interactions" in report
    assert "| the whole method | DLLM2Rec over CE | retrieval |" in report


def test_stored_refits_are_reported_again_to_the_last_digit_and_trained_no_more(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*NARROW, "--rows", "CE", "--protocol", "both")
    run_ladder(config, *options)
    figures = (config.parent / "results" / "chain.csv").read_bytes()
    monkeypatch.delattr(Job, "train")

    assert run_ladder(config, *options) == 0
    assert run_ladder(config, *options, "--kept") == 0

    assert (config.parent / "results" / "chain.csv").read_bytes() == figures


def test_stored_ranks_carry_their_protocol_and_those_without_one_are_of_training_rows(
    config: Path,
) -> None:
    options = (*NARROW, "--rows", "CE", "--protocol", "both")
    run_ladder(config, *options)
    figures = (config.parent / "results" / "chain.csv").read_bytes()
    runs = config.parent / "results" / "runs" / "chain"
    stored = {path: stored_arrays(path) for path in runs.glob("*.npz")}
    told = {path: str(arrays["facts"]) for path, arrays in stored.items()}
    refits_told = sum('"protocol": "refit"' in each for each in told.values())
    assert refits_told == 1 + len(BASELINES)  # one is that of CE
    for path, arrays in stored.items():
        arrays["facts"] = np.array(told[path].replace(', "protocol": "train"', ""))
        np.savez_compressed(path, **arrays)

    assert run_ladder(config, *options, "--kept") == 0

    assert (config.parent / "results" / "chain.csv").read_bytes() == figures


def test_a_ladder_of_refits_trains_no_row_that_validation_has_not_chosen_yet(config: Path) -> None:
    run_ladder(config, *NARROW, "--rows", "CE")
    assert protocols(config, "CE") == {"train": {"validation", "test"}}

    assert run_ladder(config, *NARROW, "--rows", "CE", "RD", "--protocol", "refit") == 0

    assert "refit" in protocols(config, "CE")
    assert protocols(config, "RD") == {}


def test_without_the_option_stored_refits_are_left_out_and_the_report_is_as_before(
    config: Path,
) -> None:
    options = (*NARROW, "--rows", "CE")
    run_ladder(config, *options)
    report = (config.parent / "results" / "chain.csv").read_bytes()
    run_ladder(config, *options, "--protocol", "both")

    assert run_ladder(config, *options, "--kept") == 0

    assert (config.parent / "results" / "chain.csv").read_bytes() == report


def test_a_refit_takes_the_epochs_that_its_own_run_chose(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: dict[str, int] = {}
    train = Job.train

    def recorded(self: Job, *more: object) -> object:
        trained = train(self, *more)  # type: ignore[arg-type]  # passed on
        epochs[self.protocol] = trained.progress.best_epoch
        if self.refit:
            assert trained.progress.epoch == self.refit.epochs
        return trained

    monkeypatch.setattr(Job, "train", recorded)
    text = config.read_text().replace("max_epochs = 1", "max_epochs = 3\nlearning_rate = 0.5")
    config.write_text(text.replace("learning_rate = 1e-2\n", ""))
    run_ladder(config, *NARROW, "--rows", "CE", "--protocol", "both")
    assert epochs["refit"] == epochs["train"]


@pytest.mark.parametrize("is_checkpoint_kept", [True, False])
def test_a_cold_bonus_is_carried_over_from_a_checkpoint_that_is_made_again_if_it_is_gone(
    config: Path, monkeypatch: pytest.MonkeyPatch, *, is_checkpoint_kept: bool
) -> None:
    """No item of the ring is cold, so a bonus is put into the facts of the run."""
    again: list[str] = []
    carried: list[tuple[float | None, bool]] = []

    def train_again(job: Job, store: RunStore) -> None:
        again.append(job.variant)
        perform.train_again(job, store)

    def train(self: Job, *more: object) -> object:
        if self.refit and self.refit.cold_bonus is not None:
            assert self.refit.source is not None
            carried.append((self.refit.cold_bonus, (self.refit.source / STAMP_NAME).exists()))
        trained = whole_train(self, *more)  # type: ignore[arg-type]  # passed on
        places = self.variant == "with-cold-bonus" and not self.refit
        return TrainedStudent(trained.student, trained.progress, 0.5 if places else None)

    whole_train = Job.train
    monkeypatch.setattr(Job, "train", train)
    monkeypatch.setattr(refits, "train_again", train_again)
    rows = ("--rows", "DLLM2Rec", COLD_ROW)
    if not is_checkpoint_kept:
        run_ladder(config, *NARROW, *rows)

    assert run_ladder(config, *NARROW, *rows, "--protocol", "both") == 0

    assert again == ([] if is_checkpoint_kept else ["with-cold-bonus"])
    assert carried == [(0.5, True)]
    assert not list((config.parent / "work" / "chain" / "ladder").iterdir())
