"""A student's pair bonus: counted in training, chosen on validation, taken over by a refit."""

import math
from collections.abc import Callable, Mapping
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.data.catalog import Catalog
from training.data.dataset import Dataset, Split, make_dataset
from training.distillation.after_training import pair_fit
from training.distillation.after_training.pair_fit import (
    PairSettings,
    bonus_of,
    heaviest_pairs,
    tuned_settings,
)
from training.distillation.best_refits import refits_of_best
from training.distillation.distributed import SingleProcess
from training.distillation.job import Job
from training.distillation.trainer import Trainer
from training.evaluation.baselines.item_neighbours import ItemPairs, ItemSettings
from training.evaluation.baselines.sessions import Sessions
from training.evaluation.yardstick import evaluate, ranker_of
from training.settings.experiment import Experiment
from training.settings.student import StudentConfig
from training.students.registry import build_student
from training.students.scorer import StudentScorer

HERE = SingleProcess(torch.device("cpu"))
PLAIN = ItemSettings(
    reach=1.0, backward=0.5, decay=0.5, rarity_of_read=0.0, rarity_of_scored=0.0, shrinkage=0.0
)
CHOSEN = PairSettings(reach=2.0, backward=0.0, decay=0.2, sharpness=3.0, strength=0.25)


@pytest.fixture
def job(experiment: Experiment, chain_dataset: Dataset) -> Job:
    """A student without a teacher and with a pair bonus, trained for an epoch."""
    training = experiment.training.model_copy(update={"max_epochs": 1, "pair_bonus": True})
    settings = experiment.model_copy(update={"training": training})
    return Job(settings, chain_dataset, "plain", 0, None)


def test_of_each_item_the_heaviest_pairs_in_either_direction_are_kept(
    tiny_dataset: Dataset,
) -> None:
    index = Sessions(tiny_dataset)
    pairs = ItemPairs(index, PLAIN.reach)
    items, weights = heaviest_pairs(pairs, PLAIN, 2)

    by_pair: dict[tuple[int, int], float] = {}
    for session in range(len(tiny_dataset.user_ids)):
        visited = index.items[index.sessions == session].tolist()
        for place, before in enumerate(visited):
            for distance, after in enumerate(visited[place + 1 :]):
                weight = math.exp(-distance)
                by_pair[before, after] = by_pair.get((before, after), 0) + weight
                by_pair[after, before] = by_pair.get((after, before), 0) + 0.5 * weight
    assert by_pair
    for item in range(tiny_dataset.catalog.num_rows):
        heaviest = sorted((w for (a, _), w in by_pair.items() if a == item), reverse=True)[:2]
        assert weights[item].tolist() == pytest.approx(heaviest + [0.0] * (2 - len(heaviest)))
        for other, weight in zip(items[item].tolist(), weights[item].tolist(), strict=True):
            assert by_pair.get((item, other), 0.0) == pytest.approx(weight)


def test_sharpness_multiplies_the_weights_of_pairs(chain_dataset: Dataset) -> None:
    once = bonus_of(chain_dataset, replace(CHOSEN, sharpness=1.0))
    thrice = bonus_of(chain_dataset, replace(CHOSEN, sharpness=3.0))
    assert torch.allclose(thrice.weights, 3 * once.weights)


def test_an_untrained_student_ranks_the_chain_by_its_pairs(chain_dataset: Dataset) -> None:
    """Each item of the chain follows the one before it, so pairs alone know the next item."""
    torch.manual_seed(0)
    config = StudentConfig(max_history_length=4, hidden_size=8, num_layers=1)
    student = build_student(config, chain_dataset.catalog.num_rows)
    rows = chain_dataset.example_rows(Split.VALIDATION)

    def ndcg() -> float:
        ranker = ranker_of(StudentScorer(student, chain_dataset), chain_dataset)
        return evaluate(ranker, chain_dataset, rows).metrics["NDCG@20"]

    before = ndcg()
    settings = tuned_settings(student, chain_dataset)
    student.pair_bonus = bonus_of(chain_dataset, settings)
    assert settings.strength > 0
    assert ndcg() > before


def test_the_search_starts_from_one_of_the_values_that_it_tries() -> None:
    for name, values in pair_fit.OPTIONS.items():
        assert getattr(pair_fit.START, name) in values


@pytest.fixture
def walk_that_turns() -> Dataset:
    """In training 40 users walk on five items of a ring of 40; then each jumps and walks back."""
    around, splits = 40, [Split.TRAIN] * 5 + [Split.VALIDATION] * 2 + [Split.TEST]
    steps = [0, 1, 2, 3, 4, 20, 19, 18]
    walks = [[(start + step) % around + 1 for step in steps] for start in range(around)]
    return make_dataset(
        name="ring",
        catalog=Catalog(
            item_ids=tuple(map(str, range(around))),
            titles=tuple(map(str, range(around))),
            attributes=({},) * around,
        ),
        user_ids=tuple(map(str, range(around))),
        item_indices=np.array(walks).flatten(),
        user_offsets=np.arange(around + 1) * len(steps),
        splits=np.tile(splits, around),
    )


def test_a_bonus_of_pairs_in_the_other_direction_is_found_from_one_that_harms(
    walk_that_turns: Dataset,
) -> None:
    torch.manual_seed(0)
    config = StudentConfig(max_history_length=8, hidden_size=8, num_layers=1, num_heads=1)
    student = build_student(config, walk_that_turns.catalog.num_rows)

    def figure() -> float:
        ranker = ranker_of(StudentScorer(student, walk_that_turns), walk_that_turns)
        rows = walk_that_turns.example_rows(Split.VALIDATION)
        return evaluate(ranker, walk_that_turns, rows).metrics["NDCG@20"]

    without = figure()
    student.pair_bonus = bonus_of(walk_that_turns, pair_fit.START)
    assert figure() < without
    chosen = tuned_settings(student, walk_that_turns)
    student.pair_bonus = bonus_of(walk_that_turns, chosen)
    assert chosen.backward == 1.0
    assert figure() > 1.5 * without


def test_a_job_stores_the_bonus_and_its_settings(job: Job, tmp_path: Path) -> None:
    checkpoint = job.run(tmp_path)

    settings = PairSettings(**checkpoint.description.pairs)
    kept = checkpoint.student().pair_bonus
    assert kept is not None
    assert torch.equal(kept.weights, bonus_of(job.dataset, settings).weights)


def test_a_refit_counts_its_own_rows_with_the_settings_of_its_validation_run(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_fit, "tuned_settings", lambda *_: CHOSEN)
    job.run(tmp_path)
    monkeypatch.delattr(pair_fit, "tuned_settings")

    refit = refits_of_best([job], tmp_path, "plain")["refit"]
    trained = refit.train(tmp_path / "state", "refit", HERE)

    assert trained.pairs == CHOSEN
    assert trained.student.pair_bonus is not None
    counted = trained.student.pair_bonus.weights.sum()
    assert counted == bonus_of(refit.dataset, CHOSEN).weights.sum()
    assert counted > bonus_of(job.dataset, CHOSEN).weights.sum()


def test_the_bonus_changes_a_student_but_not_the_training_that_it_starts_from(job: Job) -> None:
    training = job.experiment.training.model_copy(update={"pair_bonus": False})
    without = replace(job, experiment=job.experiment.model_copy(update={"training": training}))
    assert job.stamp != without.stamp
    assert job.training_stamp == without.training_stamp == without.stamp


def test_a_catalog_too_large_for_a_table_of_pairs_gets_none_and_keeps_its_stamp(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.distillation.job.MAX_ITEMS", 11)
    assert not job.training.pair_bonus
    assert job.stamp == job.training_stamp


def validated(trainer: Trainer, bonus_figure: float) -> Callable[..., Mapping[str, float]]:
    """Validation by which each student has 0.5, and one with a bonus `bonus_figure`."""

    def validate(*_: object) -> Mapping[str, float]:
        has_bonus = trainer.student.pair_bonus is not None
        return {"NDCG@20": bonus_figure if has_bonus else 0.5}

    return validate


@pytest.mark.parametrize(("figure", "is_kept"), [(0.6, True), (0.5, False), (0.4, False)])
def test_a_bonus_stays_only_if_all_validation_examples_together_gain(
    figure: float, is_kept: bool, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_fit, "tuned_settings", lambda *_: CHOSEN)
    trainer = job.trainer()
    trainer.progress.keep(trainer.student, {"NDCG@20": 0.5})
    monkeypatch.setattr(trainer, "validate", validated(trainer, figure))

    settings = pair_fit.add_after_training(trainer)

    assert settings == (CHOSEN if is_kept else None)
    assert (trainer.student.pair_bonus is not None) is is_kept
    assert trainer.progress.best_metrics["NDCG@20"] == (figure if is_kept else 0.5)


def test_a_student_that_has_learned_nothing_gets_no_bonus_that_would_hide_it(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(pair_fit, "tuned_settings")
    trainer = job.trainer()
    trainer.progress.keep(trainer.student, {"NDCG@20": 0.0})
    assert pair_fit.add_after_training(trainer) is None


def test_the_first_of_several_processes_chooses_for_all(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen_there = replace(CHOSEN, strength=1.5)

    class Second(SingleProcess):
        rank, num_ranks = 1, 2

        def collect(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
            there = np.array(astuple(chosen_there)).view(np.int64)
            return np.concatenate([there, values])

    monkeypatch.delattr(pair_fit, "tuned_settings")
    trainer = job.trainer()
    trainer.processes = Second(torch.device("cpu"))
    trainer.progress.keep(trainer.student, {"NDCG@20": 0.5})
    monkeypatch.setattr(trainer, "validate", validated(trainer, 0.6))
    assert pair_fit.add_after_training(trainer) == chosen_there


def test_the_refit_of_a_student_without_a_bonus_gets_none(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_fit, "tuned_settings", lambda *_: replace(CHOSEN, strength=0.0))
    checkpoint = job.run(tmp_path)
    assert checkpoint.student().pair_bonus is None
    refit = refits_of_best([job], tmp_path, "plain")["refit"]
    assert refit.train(tmp_path / "state", "refit", HERE).student.pair_bonus is None


def test_settings_of_a_bonus_survive_a_checkpoint(job: Job, tmp_path: Path) -> None:
    saved: Mapping[str, float] = job.run(tmp_path).description.pairs
    assert np.isfinite([*saved.values()]).all()
    assert set(saved) == set(PairSettings.__dataclass_fields__)
