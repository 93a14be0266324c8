from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.distillation.conftest import COLD, UNTOUCHED
from training.data.dataset import Dataset, Split
from training.distillation import cold_start
from training.distillation import trainer as trainer_module
from training.distillation.batches import TrainingWindows
from training.distillation.cold_start import (
    AROUND,
    BONUSES,
    BonusOutcome,
    ColdReading,
    Rows,
    best_bonus,
    chosen_bonus,
    current_items,
    lenders_to,
    outcome,
    place_cold_items,
    two_halves,
    untouched_items,
)
from training.distillation.trainer import Trainer
from training.evaluation.yardstick import Evaluation, evaluate, ranker_of
from training.settings.experiment import TrainingConfig
from training.students.scorer import StudentScorer
from training.students.student import Student


def test_an_item_is_current_that_two_took_last_of_those_who_are_seen_again(
    tiny_dataset: Dataset,
) -> None:
    """Ann took b and c last before validation; bob and cay are not seen in validation."""
    assert not current_items(tiny_dataset).any()
    splits = tiny_dataset.splits.copy()
    splits[7] = Split.VALIDATION  # bob's e: he took b and c last, too
    both = replace(tiny_dataset, splits=splits)
    assert current_items(both).tolist() == [False, True, True, False, False]


def test_no_held_out_row_makes_an_item_current(tiny_dataset: Dataset) -> None:
    """Ann and bob both end on a held-out row now, which others lie after."""
    splits = tiny_dataset.splits.copy()
    splits[:3] = splits[5:8] = Split.VALIDATION
    assert not current_items(replace(tiny_dataset, splits=splits)).any()


def test_cold_items_borrow_from_current_ones_and_from_all_where_those_are_too_few(
    chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, lenders in {6: [*range(6)], 4: [*range(10)]}.items():
        current = torch.arange(12) < number
        current[11] = True  # as if it were: a cold one has nothing to lend
        monkeypatch.setattr(cold_start, "current_items", lambda _, given=current: given)
        assert lenders_to(COLD, chain_dataset).nonzero()[:, 0].tolist() == lenders


@pytest.mark.parametrize(("price", "chosen"), [(0.0, None), (0.05, 2), (0.375, 3), (1.0, 3)])
def test_the_best_bonus_is_that_of_the_best_place_that_keeps_enough_of_warm_items(
    price: float, chosen: float | None
) -> None:
    figures = [(0.5, 0.8), (0.6, 0.79), (0.7, 0.78), (0.9, 0.5), (0.9, 0.6)]
    judged = [BonusOutcome(number or None, *each) for number, each in enumerate(figures)]
    assert best_bonus(judged, price) == chosen


def test_where_no_warm_item_is_hit_no_place_is_known_to_be_cheap() -> None:
    assert best_bonus([BonusOutcome(None, 0.1, 0.0), BonusOutcome(1, 0.9, 0.0)], 0.5) is None


def test_the_bonus_is_looked_for_in_halves_and_then_around_the_best_in_sixteenths() -> None:
    asked: list[float] = []

    def tried(bonus: float) -> BonusOutcome:
        asked.append(bonus)
        return BonusOutcome(bonus, every=2 + bonus, warm=1 - max(0, bonus + 1))  # dearer from -1 on

    assert chosen_bonus(BonusOutcome(None, 0.5, 1.0), tried, price=0.2) == -0.8125
    assert asked[:9] == [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2]
    assert sorted(asked[9:]) == [-1 + each / 16 for each in range(-7, 8) if each]


def test_the_best_of_the_halves_stands_where_none_around_it_is_better() -> None:
    def tried(bonus: float) -> BonusOutcome:
        return BonusOutcome(bonus, every=3 - abs(bonus + 1), warm=1.0)

    assert chosen_bonus(BonusOutcome(None, 0.5, 1.0), tried, price=0.2) == -1


def test_where_no_bonus_is_better_none_is_looked_for_around_it() -> None:
    asked: list[float] = []

    def tried(bonus: float) -> BonusOutcome:
        asked.append(bonus)
        return BonusOutcome(bonus, every=0.4, warm=1.0)

    assert chosen_bonus(BonusOutcome(None, 0.5, 1.0), tried, price=0.2) is None
    assert len(asked) == len(BONUSES)


def test_a_user_s_validation_examples_are_in_one_half(chain_dataset: Dataset) -> None:
    splits = chain_dataset.splits.copy()
    validation = chain_dataset.example_rows(Split.VALIDATION)
    splits[validation - 1] = Split.VALIDATION  # two of each user's
    halves = two_halves(replace(chain_dataset, splits=splits))
    users = [set(chain_dataset.user_of_row[rows].tolist()) for rows in halves]
    assert users == [set(range(0, 30, 2)), set(range(1, 30, 2))]
    every = np.sort(np.concatenate(halves))
    np.testing.assert_array_equal(every, np.sort(np.concatenate([validation - 1, validation])))


def test_what_parts_of_the_examples_show_counts_as_one_by_all_targets_and_by_warm_ones(
    tiny_dataset: Dataset,
) -> None:
    rows = np.flatnonzero(tiny_dataset.position_of_row > 0)
    is_cold = UNTOUCHED.numpy()[tiny_dataset.item_indices[rows] - 1]
    assert 0 < is_cold.sum() < len(rows)
    ranks = np.where(is_cold, 0, 1)  # cold ones missed, warm ones first
    ranks[rows == rows[~is_cold][0]] = 3  # worth 1/2
    parts = [Evaluation(rows[:1], ranks[:1]), Evaluation(rows[1:], ranks[1:])]
    together = outcome(0.5, parts, tiny_dataset, UNTOUCHED)
    num_warm = (~is_cold).sum()
    assert together.bonus == 0.5
    assert together.warm == pytest.approx((num_warm - 0.5) / num_warm)
    assert together.every == pytest.approx((num_warm - 0.5) / len(rows))


def test_the_users_who_judge_what_was_learned_are_not_those_who_taught_it_and_the_mean_stays(
    walker: Student, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves, table = two_halves(chain_dataset), walker.item_table
    lenders = [number < 6 for number in range(12)]
    judged: list[tuple[bool, float, float, list[bool] | None]] = []
    prices: list[float] = []

    def taught(_: Student, __: Dataset, rows: Rows, *___: torch.Tensor) -> ColdReading:
        which = 10.0 if np.array_equal(rows, halves[0]) else 30.0
        return ColdReading(torch.full((8, 5), which / 10), torch.full((8,), which), torch.ones(8))

    def evaluated(_: object, __: Dataset, rows: Rows) -> Evaluation:
        lent = None if table.lenders is None else table.lenders.tolist()
        projection = table.cold_projection
        read = 0.0 if projection is None else float(projection[0, 0])
        judged.append((np.array_equal(rows, halves[0]), float(table.cold_offset[0]), read, lent))
        return Evaluation(rows, np.ones_like(rows))

    def chosen(outcomes: list[BonusOutcome], price: float) -> float:
        prices.append(price)
        assert [each.bonus for each in outcomes[:10]] == [None, *BONUSES]
        return 0.5

    monkeypatch.setattr(cold_start, "lenders_to", lambda *_: torch.tensor(lenders))
    monkeypatch.setattr(cold_start, "cold_reading", taught)
    monkeypatch.setattr(cold_start, "evaluate", evaluated)
    monkeypatch.setattr(cold_start, "best_bonus", chosen)
    assert place_cold_items(walker, chain_dataset, COLD, 0.1) == 0.5

    assert prices == [0.1, 0.1]
    assert judged[:2] == [(True, 0, 0, None), (False, 0, 0, None)]
    for place, bonus in enumerate(BONUSES):
        pair = judged[2 + 2 * place : 4 + 2 * place]
        assert pair == [(False, 10 + bonus, 1, lenders), (True, 30 + bonus, 3, lenders)]
    assert table.cold_offset.tolist() == [20.5] * 8
    assert table.cold_projection is not None
    assert table.cold_projection.tolist() == [[2] * 5] * 8
    assert table.lenders is not None
    assert table.lenders.tolist() == lenders


def test_one_validation_user_cannot_both_teach_and_judge(
    student: Student, tiny_dataset: Dataset
) -> None:
    before = {name: each.clone() for name, each in student.state_dict().items()}
    assert place_cold_items(student, tiny_dataset, UNTOUCHED, 1.0) is None
    after = student.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], each) for name, each in before.items())


def test_cold_items_are_found_where_they_are_placed(
    walker: Student, chain_dataset: Dataset
) -> None:
    walker.item_table.offsets.data.normal_(std=0.5)
    rows = chain_dataset.example_rows(Split.VALIDATION)

    def reached() -> float:
        ranker = ranker_of(StudentScorer(walker, chain_dataset), chain_dataset)
        return evaluate(ranker, chain_dataset, rows).metrics["NDCG@20"]

    before = reached()
    bonus = place_cold_items(walker, chain_dataset, COLD, price=1.0)
    assert bonus in {about + each for about in BONUSES for each in (0, *AROUND)}
    assert reached() > before
    assert walker.item_table.cold_offset.any()


def test_cold_items_are_left_where_they_are_if_every_place_costs_too_much(
    walker: Student, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: each.clone() for name, each in walker.state_dict().items()}

    def costly(bonus: float | None, *_: object) -> BonusOutcome:
        return BonusOutcome(bonus, every=1.0, warm=1.0 if bonus is None else 0.9)

    monkeypatch.setattr(cold_start, "outcome", costly)
    assert place_cold_items(walker, chain_dataset, COLD, 0.05) is None
    after = walker.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], each) for name, each in before.items())


def test_an_item_that_is_only_read_in_training_is_touched_all_the_same(
    tiny_dataset: Dataset,
) -> None:
    # cay reads d, which no training row holds, before a training row.
    untouched = untouched_items(tiny_dataset, TrainingWindows(tiny_dataset, 4, 1))
    assert untouched.tolist() == [False, False, False, False, True]


@pytest.mark.parametrize("cold_price", [0.3, None])
def test_the_student_that_is_kept_has_cold_items_in_their_place_where_that_is_wanted(
    walker: Student,
    chain_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cold_price: float | None,
) -> None:
    def place(student: Student, _: Dataset, untouched: torch.Tensor, price: float) -> float:
        nothing = torch.zeros(8, 5)
        student.item_table.place_cold_items(untouched, ~untouched, torch.full((8,), price), nothing)
        return 0.25

    monkeypatch.setattr(trainer_module, "untouched_items", lambda *_: COLD)
    monkeypatch.setattr(trainer_module, "place_cold_items", place)
    config = TrainingConfig(max_epochs=2, batch_size=2)
    trainer = Trainer(walker, chain_dataset, config, seed=0, cold_price=cold_price)
    progress = trainer.train(tmp_path / "state", "chain")

    kept = progress.best_state["item_table.cold_offset"]
    assert kept.tolist() == pytest.approx([cold_price or 0] * 8)
    assert ("item_table.lenders" in progress.best_state) == (cold_price is not None)
    assert progress.best_metrics == trainer.validate()
    assert progress.cold_bonus == (0.25 if cold_price else None)


def test_where_training_touches_every_item_nothing_is_placed(
    walker: Student, chain_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> float:
        raise AssertionError("there is no cold item")

    monkeypatch.setattr(trainer_module, "place_cold_items", refuse)
    trainer = Trainer(walker, chain_dataset, TrainingConfig(max_epochs=1), seed=0, cold_price=0.01)
    assert not trainer.train(tmp_path / "state", "chain").best_state["item_table.cold_offset"].any()
