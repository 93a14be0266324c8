from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.config import StudentConfig, TrainingConfig
from training.data.dataset import Dataset, Split
from training.distillation import cold_items, loop
from training.distillation.batches import TrainingWindows
from training.distillation.cold_items import (
    BONUSES,
    Place,
    best_place,
    common_direction,
    current_items,
    judged,
    learned_offset,
    lenders_to,
    place_cold_items,
    two_halves,
    untouched_items,
)
from training.distillation.loop import Trainer
from training.evaluation.yardstick import Evaluation
from training.students.registry import build_student
from training.students.student import Student

# As if d and e of tiny_dataset, ann's validation item and bob's test item, were new.
UNTOUCHED = torch.tensor([False, False, False, True, True])


@pytest.fixture
def student() -> Student:
    torch.manual_seed(0)
    config = StudentConfig(hidden_size=8, num_layers=1, max_history_length=4)
    return build_student(config, 6, torch.randn(6, 5)).eval()


def test_the_common_direction_is_what_every_query_has_and_no_more() -> None:
    # (1, 2) and (1, -2) agree on the first axis alone.
    direction = common_direction(torch.tensor([[1.0, 2.0], [1.0, -2.0]]))
    assert direction.tolist() == pytest.approx([1, 0], abs=1e-3)


def test_the_learned_offset_makes_what_came_next_likelier_and_leaves_the_student_alone(
    student: Student, tiny_dataset: Dataset
) -> None:
    rows = tiny_dataset.example_rows(Split.VALIDATION)  # ann's d, a cold one
    before = {name: each.clone() for name, each in student.state_dict().items()}
    start = torch.zeros(8)
    learned = learned_offset(student, tiny_dataset, rows, UNTOUCHED, start)

    def chance(offset: torch.Tensor) -> float:
        table = student.item_table().clone()
        table[1:][UNTOUCHED] += offset
        scores = student.encode_newest(torch.tensor([[0, 1, 2, 3]]), table) @ table[1:].T
        return float(scores.detach().softmax(dim=1)[0, 3])

    assert chance(learned) > chance(start) + 0.1
    assert all(torch.equal(before[name], each) for name, each in student.state_dict().items())
    assert all(each.grad is None for each in student.parameters())


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
        monkeypatch.setattr(cold_items, "current_items", lambda _, given=current: given)
        assert lenders_to(COLD, chain_dataset).nonzero()[:, 0].tolist() == lenders


@pytest.mark.parametrize(("price", "chosen"), [(0.0, 0), (0.05, 2), (0.5, 3), (1.0, 3)])
def test_the_best_place_is_the_best_of_those_that_keep_enough_of_warm_items(
    price: float, chosen: int
) -> None:
    figures = [(0.5, 0.8), (0.6, 0.79), (0.7, 0.78), (0.9, 0.5), (0.9, 0.6)]
    places = [Place(every=every, warm=warm) for every, warm in figures]
    assert best_place(places, price) is places[chosen]


def test_where_no_warm_item_is_hit_no_place_is_known_to_be_cheap() -> None:
    places = [Place(every=0.1, warm=0.0), Place(every=0.9, warm=0.0)]
    assert best_place(places, 0.5) is places[0]


def test_half_of_the_validation_users_teach_and_the_others_choose(chain_dataset: Dataset) -> None:
    halves = two_halves(chain_dataset)
    users = [set(chain_dataset.user_of_row[rows].tolist()) for rows in halves]
    assert users == [set(range(0, 30, 2)), set(range(1, 30, 2))]
    every = np.sort(np.concatenate(halves))
    np.testing.assert_array_equal(every, chain_dataset.example_rows(Split.VALIDATION))


def test_a_place_is_judged_by_all_targets_and_by_the_warm_ones(
    student: Student, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.flatnonzero(tiny_dataset.position_of_row > 0)
    is_cold = UNTOUCHED.numpy()[tiny_dataset.item_indices[rows] - 1]
    assert 0 < is_cold.sum() < len(rows)
    ranks = np.where(is_cold, 0, 1)  # cold ones missed, warm ones first
    monkeypatch.setattr(cold_items, "evaluate", lambda *_: Evaluation(rows, ranks))
    place = judged(student, tiny_dataset, rows, UNTOUCHED, Place(bonus=0.5))
    assert (place.bonus, place.warm) == (0.5, 1.0)
    assert place.every == pytest.approx((~is_cold).mean())


COLD = torch.arange(12) > 9  # of the chain's items, as if nobody had touched the last two


@pytest.fixture
def walker() -> Student:
    torch.manual_seed(0)
    return build_student(StudentConfig(hidden_size=8), 13, torch.randn(13, 5)).eval()


def test_cold_items_are_found_where_they_are_placed(
    walker: Student, chain_dataset: Dataset
) -> None:
    walker.item_table.offsets.data.normal_(std=0.5)
    rows = two_halves(chain_dataset)[1]
    before = judged(walker, chain_dataset, rows, COLD, Place())
    bonus = place_cold_items(walker, chain_dataset, COLD, price=1.0)
    after = judged(walker, chain_dataset, rows, COLD, Place())
    assert bonus in BONUSES
    assert after.every > before.every
    assert walker.item_table.cold_offset.any()


def test_cold_items_are_left_where_they_are_if_every_place_costs_too_much(
    walker: Student, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: each.clone() for name, each in walker.state_dict().items()}
    warm = iter([1.0] + [0.9] * len(BONUSES))
    monkeypatch.setattr(
        cold_items, "judged", lambda *given: replace(given[-1], every=1.0, warm=next(warm))
    )
    assert place_cold_items(walker, chain_dataset, COLD, 0.05) == 0
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
        student.item_table.place_cold_items(untouched, ~untouched, torch.full((8,), price))
        return 0.25

    monkeypatch.setattr(loop, "untouched_items", lambda *_: COLD)
    monkeypatch.setattr(loop, "place_cold_items", place)
    config = TrainingConfig(max_epochs=2, batch_size=2)
    trainer = Trainer(walker, chain_dataset, config, seed=0, cold_price=cold_price)
    progress = trainer.train(tmp_path / "state", "chain")

    kept = progress.best_state["item_table.cold_offset"]
    assert kept.tolist() == pytest.approx([cold_price or 0] * 8)
    assert ("item_table.lenders" in progress.best_state) == (cold_price is not None)
    assert progress.best_metrics == trainer.validate()
    assert progress.cold_bonus == (0.25 if cold_price else 0)


def test_where_training_touches_every_item_nothing_is_placed(
    walker: Student, chain_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> float:
        raise AssertionError("there is no cold item")

    monkeypatch.setattr(loop, "place_cold_items", refuse)
    trainer = Trainer(walker, chain_dataset, TrainingConfig(max_epochs=1), seed=0, cold_price=0.01)
    assert not trainer.train(tmp_path / "state", "chain").best_state["item_table.cold_offset"].any()
