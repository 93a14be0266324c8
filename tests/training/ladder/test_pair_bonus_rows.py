"""The ladder with rows of students that have a pair bonus."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.ladder.conftest import run_ladder
from training.data.dataset import Dataset
from training.distillation.after_training import pair_fit
from training.distillation.after_training.pair_fit import PairSettings
from training.distillation.job import Job
from training.distillation.trainer import Trainer
from training.ladder.results.from_runs import joined
from training.ladder.runs.schedule import trained_once
from training.settings.data import DataConfig
from training.settings.experiment import Experiment
from training.students.student import Student

CHOSEN = PairSettings(reach=4.0, decay=0.2, sharpness=3.0, strength=0.25)
OPTIONS = ("--students", "caser", "--seeds", "0", "--protocol", "both")
ROWS = ("--rows", "CE", "CE with pair bonus")


@pytest.fixture
def tunings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of items of the datasets for which settings were chosen: always `CHOSEN`."""
    chosen: list[int] = []

    def choose(_: Student, dataset: Dataset) -> PairSettings:
        chosen.append(dataset.catalog.num_items)
        return CHOSEN

    monkeypatch.setattr(pair_fit, "tuned_settings", choose)
    return chosen


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A letter for each trained epoch."""
    trained: list[str] = []
    epoch: Callable[..., None] = Trainer._epoch

    def counted(trainer: Trainer, *arguments: object) -> None:
        trained.append("e")
        epoch(trainer, *arguments)

    monkeypatch.setattr(Trainer, "_epoch", counted)
    return trained


def test_a_row_with_the_bonus_trains_nothing_anew_and_its_refit_takes_over_the_settings(
    config: Path, tunings: list[int], epochs: list[str]
) -> None:
    run_ladder(config, *OPTIONS, "--rows", "CE", "--keep-states")
    epochs.clear()

    assert run_ladder(config, *OPTIONS, *ROWS, "--keep-states") == 0

    assert not epochs
    assert tunings == [12], "validation chooses once, and the refit chooses nothing"


def test_the_report_tells_what_the_bonus_is_worth_and_its_settings(
    config: Path, tunings: list[int]
) -> None:
    assert run_ladder(config, *OPTIONS, *ROWS) == 0

    assert tunings
    report = (config.parent / "results" / "chain.md").read_text()
    part = "| the bonus of item pairs, without a teacher | CE with pair bonus over CE |"
    assert part in report
    assert "sharpness = 3.0, strength = 0.25 |" in report
    assert "`DLLM2Rec with cold bonus` and `CE with pair bonus` is of examples" in report


def test_a_seed_without_a_bonus_is_told_beside_those_that_have_one() -> None:
    assert joined([{"reach": 4.0}, {}]) == {"reach": "4.0 or none"}
    assert joined([{}, {"reach": 4.0}]) == {"reach": "none or 4.0"}


def test_jobs_of_one_training_are_never_trained_side_by_side(
    chain_dataset: Dataset,
) -> None:
    experiment = Experiment(name="chain", data=DataConfig(source="movielens"))

    def job(variant: str, seed: int) -> Job:
        return Job(experiment, chain_dataset, variant, seed, None)

    jobs = [job("plain", 0), job("plain-pair-bonus", 0), job("plain-pair-bonus", 1)]
    leaders, others = trained_once(jobs)
    assert leaders == [jobs[0], jobs[2]]
    assert others == [jobs[1]]
