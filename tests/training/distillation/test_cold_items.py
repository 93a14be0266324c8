import math
from pathlib import Path

import pytest
import torch

from training.config import StudentConfig, TrainingConfig
from training.data.dataset import Dataset, Split
from training.distillation import cold_items, loop
from training.distillation.batches import TrainingWindows
from training.distillation.cold_items import (
    SHIFTS,
    Place,
    best_place,
    cold_logits,
    common_direction,
    learned_offset,
    place_cold_items,
    untouched_items,
)
from training.distillation.loop import Trainer
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


def test_the_log_odds_of_a_cold_item_weigh_all_cold_ones_against_all_others() -> None:
    scores = torch.tensor([[9.0, math.log(2), math.log(3), math.log(10)]])  # first, padding
    logits = cold_logits(scores, torch.tensor([False, True, True, False]))
    assert logits.tolist() == pytest.approx([math.log((2 + 3) / 10)])


def test_the_learned_offset_tells_better_than_its_start_whether_a_cold_item_comes_next(
    student: Student, tiny_dataset: Dataset
) -> None:
    rows = tiny_dataset.example_rows(Split.VALIDATION)  # ann's d, a cold one
    start = torch.zeros(8)
    learned = learned_offset(student, tiny_dataset, rows, UNTOUCHED, start)
    history = torch.tensor([[0, 1, 2, 3]])

    def chance(offset: torch.Tensor) -> float:
        is_cold = torch.cat([torch.tensor([False]), UNTOUCHED])
        table = student.item_table() + is_cold[:, None] * offset
        scores = student.encode_newest(history, table) @ table.T
        return cold_logits(scores, is_cold).sigmoid().item()

    assert chance(learned) > chance(start) + 0.1
    assert all(each.grad is None for each in student.parameters())


@pytest.mark.parametrize(("price", "chosen"), [(0.0, 0), (0.05, 2), (0.5, 3)])
def test_the_best_place_is_the_best_of_those_that_keep_enough_of_warm_items(
    price: float, chosen: int
) -> None:
    figures = [(0.5, 0.8), (0.6, 0.79), (0.7, 0.78), (0.9, 0.5), (0.9, 0.6)]
    places = [Place(None, every, warm) for every, warm in figures]
    assert best_place(places, price) is places[chosen]


def test_cold_items_are_left_where_they_are_if_every_place_costs_too_much(
    student: Student, chain_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = build_student(StudentConfig(hidden_size=8), 13, torch.randn(13, 5)).eval()
    before = {name: each.clone() for name, each in student.state_dict().items()}
    untouched = torch.arange(12) > 9
    judged = iter([1.0] + [0.9] * len(SHIFTS))

    def place(*arguments: object) -> Place:
        return Place(arguments[-1], 1.0, next(judged))  # type: ignore[arg-type]

    monkeypatch.setattr(cold_items, "_judged", place)
    assert place_cold_items(student, chain_dataset, untouched, 0.05) == 0
    after = student.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], each) for name, each in before.items())


def test_an_item_that_is_only_read_in_training_is_touched_all_the_same(
    tiny_dataset: Dataset,
) -> None:
    # cay reads d, which no training row holds, before a training row.
    untouched = untouched_items(tiny_dataset, TrainingWindows(tiny_dataset, 4, 1))
    assert untouched.tolist() == [False, False, False, False, True]


@pytest.mark.parametrize("cold_price", [1.0, None])
def test_the_student_that_is_kept_has_cold_items_in_their_place_where_that_is_wanted(
    chain_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cold_price: float | None,
) -> None:
    student = build_student(StudentConfig(hidden_size=8), 13, torch.randn(13, 5))
    untouched = torch.arange(12) > 9
    monkeypatch.setattr(loop, "untouched_items", lambda *_: untouched)
    seen = iter([0.0, *range(len(SHIFTS))])  # the last, most cautious place is the best

    def place(*arguments: object) -> Place:
        return Place(arguments[-1], next(seen), 1.0)  # type: ignore[arg-type]

    monkeypatch.setattr(cold_items, "_judged", place)
    config = TrainingConfig(max_epochs=2, batch_size=2)
    trainer = Trainer(student, chain_dataset, config, seed=0, cold_price=cold_price)
    progress = trainer.train(tmp_path / "state", "chain")

    kept = progress.best_state["item_table.cold_offset"]
    assert bool(kept.any()) == (cold_price is not None)
    assert ("item_table.touched" in progress.best_state) == (cold_price is not None)
    assert bool(progress.cold_bonus) == (cold_price is not None)


def test_where_training_touches_every_item_nothing_is_placed(
    chain_dataset: Dataset, tmp_path: Path
) -> None:
    student = build_student(StudentConfig(hidden_size=8), 13, torch.randn(13, 5))
    config = TrainingConfig(max_epochs=1)
    trainer = Trainer(student, chain_dataset, config, seed=0, cold_price=0.01)
    assert not trainer.train(tmp_path / "state", "chain").best_state["item_table.cold_offset"].any()
