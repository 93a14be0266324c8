from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.distillation.conftest import COLD, UNTOUCHED
from training.data.dataset import Dataset, Split
from training.distillation.after_training import cold_start
from training.distillation.after_training.cold_fit import ColdFit, Rows, centred_fit
from training.distillation.after_training.cold_start import (
    COARSE_BONUSES,
    FINE_STEPS,
    BonusOutcome,
    Placement,
    best_bonus,
    chosen_bonus,
    current_items,
    donors_for,
    place_after_training,
    place_cold_items,
    pooled_outcome,
    two_halves,
    untouched_items,
)
from training.distillation.batches import TrainingWindows
from training.distillation.trainer import Trainer
from training.evaluation.yardstick import Evaluation, evaluate, ranker_of
from training.settings.experiment import DistillationConfig, TrainingConfig
from training.students.scorer import StudentScorer
from training.students.student import Student


def priced(price: float) -> DistillationConfig:
    """Settings with a price, and all others at their defaults."""
    return DistillationConfig(cold_price=price)


def test_an_item_is_current_if_two_users_of_validation_took_it_last(
    tiny_dataset: Dataset,
) -> None:
    """Ann took b and c last before validation; bob and cay are not seen in validation."""
    assert not current_items(tiny_dataset).any()
    splits = tiny_dataset.splits.copy()
    splits[7] = Split.VALIDATION  # bob's e: he took b and c last, too
    both = replace(tiny_dataset, splits=splits)
    assert current_items(both).tolist() == [False, True, True, False, False]


def test_all_examples_make_items_current_also_where_few_of_them_are_measured(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = tiny_dataset.splits.copy()
    splits[7] = Split.VALIDATION  # as above, ann's and bob's
    monkeypatch.setattr(Dataset, "max_held_out", 1)
    both = replace(tiny_dataset, splits=splits)
    assert len(both.example_rows(Split.VALIDATION)) == 1
    assert current_items(both).tolist() == [False, True, True, False, False]


def test_no_held_out_row_makes_an_item_current(tiny_dataset: Dataset) -> None:
    """Ann and bob both end on a held-out row now, which others lie after."""
    splits = tiny_dataset.splits.copy()
    splits[:3] = splits[5:8] = Split.VALIDATION
    assert not current_items(replace(tiny_dataset, splits=splits)).any()


def test_donors_are_current_items_and_all_touched_ones_if_those_are_too_few(
    chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, donors in {6: [*range(6)], 4: [*range(10)]}.items():
        current = torch.arange(12) < number
        current[11] = True  # cold, so it has no offset to give
        monkeypatch.setattr(cold_start, "current_items", lambda _, given=current: given)
        assert donors_for(COLD, chain_dataset).nonzero()[:, 0].tolist() == donors


@pytest.mark.parametrize(("price", "expected"), [(0.0, None), (0.05, 2), (0.375, 3), (1.0, 3)])
def test_the_best_bonus_is_the_one_with_the_best_figure_within_the_price(
    price: float, expected: float | None
) -> None:
    figures = [(0.5, 0.8), (0.6, 0.79), (0.7, 0.78), (0.9, 0.5), (0.9, 0.6)]
    outcomes = [BonusOutcome(number or None, *each) for number, each in enumerate(figures)]
    assert best_bonus(outcomes, price) == expected


def test_without_a_warm_hit_there_is_no_bonus_because_its_price_is_unknown() -> None:
    assert best_bonus([BonusOutcome(None, 0.1, 0.0), BonusOutcome(1, 0.9, 0.0)], 0.5) is None


def test_the_bonus_is_searched_in_halves_then_in_sixteenths_around_the_best() -> None:
    bonuses: list[float] = []

    def try_bonus(bonus: float) -> BonusOutcome:
        bonuses.append(bonus)
        return BonusOutcome(
            bonus,
            all_targets=2 + bonus,
            warm_targets=1 - max(0, bonus + 1),  # costs more from -1 on
        )

    assert chosen_bonus(BonusOutcome(None, 0.5, 1.0), try_bonus, price=0.2) == -0.8125
    assert bonuses[:9] == [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2]
    assert sorted(bonuses[9:]) == [-1 + each / 16 for each in range(-7, 8) if each]


def test_the_best_coarse_bonus_is_chosen_if_no_fine_step_is_better() -> None:
    def try_bonus(bonus: float) -> BonusOutcome:
        return BonusOutcome(bonus, all_targets=3 - abs(bonus + 1), warm_targets=1.0)

    assert chosen_bonus(BonusOutcome(None, 0.5, 1.0), try_bonus, price=0.2) == -1


def test_if_no_coarse_bonus_helps_no_fine_step_is_tried() -> None:
    bonuses: list[float] = []

    def try_bonus(bonus: float) -> BonusOutcome:
        bonuses.append(bonus)
        return BonusOutcome(bonus, all_targets=0.4, warm_targets=1.0)

    assert chosen_bonus(BonusOutcome(None, 0.5, 1.0), try_bonus, price=0.2) is None
    assert len(bonuses) == len(COARSE_BONUSES)


def test_all_validation_examples_of_a_user_are_in_one_half(chain_dataset: Dataset) -> None:
    splits = chain_dataset.splits.copy()
    validation = chain_dataset.example_rows(Split.VALIDATION)
    splits[validation - 1] = Split.VALIDATION  # two of each user's
    halves = two_halves(replace(chain_dataset, splits=splits))
    users = [set(chain_dataset.user_of_row[rows].tolist()) for rows in halves]
    assert users == [set(range(0, 30, 2)), set(range(1, 30, 2))]
    every = np.sort(np.concatenate(halves))
    np.testing.assert_array_equal(every, np.sort(np.concatenate([validation - 1, validation])))


def test_evaluations_of_the_halves_are_pooled_over_all_targets_and_over_warm_ones(
    tiny_dataset: Dataset,
) -> None:
    rows = np.flatnonzero(tiny_dataset.position_of_row > 0)
    is_cold = UNTOUCHED.numpy()[tiny_dataset.item_indices[rows] - 1]
    assert 0 < is_cold.sum() < len(rows)
    ranks = np.where(is_cold, 0, 1)  # cold ones missed, warm ones first
    ranks[rows == rows[~is_cold][0]] = 3  # worth 1/2
    parts = [Evaluation(rows[:1], ranks[:1]), Evaluation(rows[1:], ranks[1:])]
    pooled = pooled_outcome(0.5, parts, tiny_dataset, UNTOUCHED)
    num_warm = (~is_cold).sum()
    assert pooled.bonus == 0.5
    assert pooled.warm_targets == pytest.approx((num_warm - 0.5) / num_warm)
    assert pooled.all_targets == pytest.approx((num_warm - 0.5) / len(rows))


def test_each_fit_is_judged_on_the_other_half_and_the_mean_of_both_is_placed(
    walker: Student, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves, cold_items = two_halves(chain_dataset), walker.item_table.cold_items
    donors = [number < 6 for number in range(12)]
    judged: list[tuple[bool, float, float, list[bool] | None]] = []
    prices: list[float] = []

    def fit(_: Student, __: Dataset, rows: Rows, *___: object) -> ColdFit:
        which = 10.0 if np.array_equal(rows, halves[0]) else 30.0
        return ColdFit(torch.full((8, 5), which / 10), torch.full((8,), which), torch.ones(8))

    def evaluated(_: object, __: Dataset, rows: Rows) -> Evaluation:
        placed = None if cold_items.donors is None else cold_items.donors.tolist()
        projection = cold_items.projection
        weight = 0.0 if projection is None else float(projection[0, 0])
        offset = float(cold_items.offset[0])
        judged.append((np.array_equal(rows, halves[0]), offset, weight, placed))
        return Evaluation(rows, np.ones_like(rows))

    def chosen(outcomes: list[BonusOutcome], price: float) -> float:
        prices.append(price)
        assert [each.bonus for each in outcomes[:10]] == [None, *COARSE_BONUSES]
        return 0.5

    monkeypatch.setattr(cold_start, "donors_for", lambda *_: torch.tensor(donors))
    monkeypatch.setattr(cold_start, "centred_fit", fit)
    monkeypatch.setattr(cold_start, "evaluate", evaluated)
    monkeypatch.setattr(cold_start, "best_bonus", chosen)
    placed = place_cold_items(walker, chain_dataset, COLD, priced(0.1))
    assert placed is not None
    assert placed.bonus == 0.5

    assert prices == [0.1, 0.1]
    assert judged[:2] == [(True, 0, 0, None), (False, 0, 0, None)]
    for place, bonus in enumerate(COARSE_BONUSES):
        pair = judged[2 + 2 * place : 4 + 2 * place]
        assert pair == [(False, 10 + bonus, 1, donors), (True, 30 + bonus, 3, donors)]
    assert judged[-2:] == [(False, 10.5, 1, donors), (True, 30.5, 3, donors)]
    assert sorted(placed.held_out.rows) == sorted(np.concatenate(halves))
    assert cold_items.offset.tolist() == [20.5] * 8
    assert cold_items.projection is not None
    assert cold_items.projection.tolist() == [[2] * 5] * 8
    assert cold_items.donors is not None
    assert cold_items.donors.tolist() == donors


def test_with_one_validation_user_cold_items_are_not_placed(
    student: Student, tiny_dataset: Dataset
) -> None:
    before = {name: each.clone() for name, each in student.state_dict().items()}
    assert place_cold_items(student, tiny_dataset, UNTOUCHED, priced(1.0)) is None
    after = student.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], each) for name, each in before.items())


def test_placing_cold_items_raises_validation_ndcg(walker: Student, chain_dataset: Dataset) -> None:
    walker.item_table.offsets.data.normal_(std=0.5)
    rows = chain_dataset.example_rows(Split.VALIDATION)

    def reached() -> float:
        ranker = ranker_of(StudentScorer(walker, chain_dataset), chain_dataset)
        return evaluate(ranker, chain_dataset, rows).metrics["NDCG@20"]

    before = reached()
    placed = place_cold_items(walker, chain_dataset, COLD, priced(1.0))
    assert placed is not None
    assert placed.bonus in {coarse + step for coarse in COARSE_BONUSES for step in (0, *FINE_STEPS)}
    assert reached() > before
    assert walker.item_table.cold_items.offset.any()


def test_cold_items_are_not_placed_if_every_bonus_costs_too_much(
    walker: Student, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: each.clone() for name, each in walker.state_dict().items()}

    def costly(bonus: float | None, *_: object) -> BonusOutcome:
        return BonusOutcome(bonus, all_targets=1.0, warm_targets=1.0 if bonus is None else 0.9)

    monkeypatch.setattr(cold_start, "pooled_outcome", costly)
    assert place_cold_items(walker, chain_dataset, COLD, priced(0.05)) is None
    after = walker.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], each) for name, each in before.items())


def test_an_item_that_training_only_reads_counts_as_touched(
    tiny_dataset: Dataset,
) -> None:
    # cay reads d, which no training row holds, before a training row.
    untouched = untouched_items(tiny_dataset, TrainingWindows(tiny_dataset, 4, 1))
    assert untouched.tolist() == [False, False, False, False, True]


def test_after_training_the_student_to_keep_has_its_cold_items_placed(
    walker: Student, chain_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(
        student: Student,
        _: Dataset,
        untouched: torch.Tensor,
        settings: DistillationConfig,
        *,
        shown: bool,
    ) -> Placement:
        assert shown
        price, nothing = torch.full((8,), settings.cold_price), torch.zeros(8, 5)
        student.item_table.place_cold_items(untouched, ~untouched, price, nothing)
        return Placement(0.25, Evaluation(rows, np.where(rows == rows[0], 1, 0)))

    rows = chain_dataset.example_rows(Split.VALIDATION)
    monkeypatch.setattr(cold_start, "untouched_items", lambda *_: COLD)
    monkeypatch.setattr(cold_start, "place_cold_items", place)
    trainer = Trainer(walker, chain_dataset, TrainingConfig(max_epochs=2, batch_size=2), seed=0)
    progress = trainer.train(tmp_path / "state", "chain")
    assert "item_table.lenders" not in progress.best_state
    seconds = progress.seconds

    assert place_after_training(trainer, priced(0.3)) == 0.25

    assert progress.best_state["item_table.cold_offset"].tolist() == pytest.approx([0.3] * 8)
    assert progress.best_state["item_table.lenders"].tolist() == (~COLD).tolist()
    assert progress.best_metrics["NDCG@20"] == pytest.approx(1 / len(rows))
    assert progress.seconds > seconds


def test_a_placed_student_is_judged_by_users_who_did_not_teach_it(
    walker: Student, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    walker.item_table.offsets.data.normal_(std=0.5)
    monkeypatch.setattr(cold_start, "untouched_items", lambda *_: COLD)
    trainer = Trainer(walker, chain_dataset, TrainingConfig(max_epochs=1), seed=0)
    settings, donors = priced(1.0), donors_for(COLD, chain_dataset)
    halves = two_halves(chain_dataset)
    fits = [centred_fit(walker, chain_dataset, half, COLD, donors, settings) for half in halves]

    bonus = place_after_training(trainer, settings)

    assert bonus is not None
    flattering = trainer.validate()["NDCG@20"]
    figures = []
    for fit, others in zip(fits, reversed(halves), strict=True):
        walker.item_table.place_cold_items(COLD, donors, fit.offset_with(bonus), fit.projection)
        ranker = ranker_of(StudentScorer(walker, chain_dataset), chain_dataset)
        figures.append(evaluate(ranker, chain_dataset, others).metrics["NDCG@20"])
    kept = trainer.progress.best_metrics["NDCG@20"]
    assert kept == pytest.approx(np.mean(figures))  # the halves have 15 users each
    assert kept < flattering


def test_a_placed_student_is_measured_on_the_examples_that_others_are_measured_on(
    walker: Student, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainingConfig(max_epochs=1, validation_examples=4)
    trainer = Trainer(walker, chain_dataset, config, seed=0)
    rows = chain_dataset.example_rows(Split.VALIDATION)
    hits = np.isin(rows, trainer.validation_rows)
    assert hits.sum() == 4
    placed = Placement(0.5, Evaluation(rows, hits.astype(np.int64)))
    monkeypatch.setattr(cold_start, "untouched_items", lambda *_: COLD)
    monkeypatch.setattr(cold_start, "place_cold_items", lambda *_, **__: placed)

    place_after_training(trainer, priced(0.01))

    assert trainer.progress.best_metrics["NDCG@20"] == 1


def test_if_training_touches_every_item_nothing_is_placed(
    walker: Student, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> float:
        raise AssertionError("there is no cold item")

    monkeypatch.setattr(cold_start, "place_cold_items", refuse)
    trainer = Trainer(walker, chain_dataset, TrainingConfig(max_epochs=1), seed=0)

    assert place_after_training(trainer, priced(0.01)) is None
    assert not walker.item_table.cold_items.are_placed
