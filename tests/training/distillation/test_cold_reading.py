from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.distillation.conftest import COLD, UNTOUCHED
from training.data.dataset import Dataset, Split
from training.data.histories import pad_histories
from training.distillation import cold_start
from training.distillation.cold_start import (
    ColdReading,
    cold_reading,
    common_direction,
    learned_reading,
    two_halves,
)
from training.settings.experiment import StudentConfig
from training.students.registry import build_student
from training.students.student import Student


def test_the_common_direction_is_what_every_query_has_and_no_more() -> None:
    # (1, 2) and (1, -2) agree on the first axis alone.
    direction = common_direction(torch.tensor([[1.0, 2.0], [1.0, -2.0]]))
    assert direction.tolist() == pytest.approx([1, 0], abs=1e-3)


def test_what_is_learned_of_cold_items_makes_what_came_next_likelier_and_leaves_the_student_alone(
    student: Student, tiny_dataset: Dataset
) -> None:
    rows = tiny_dataset.example_rows(Split.VALIDATION)  # ann's d, a cold one
    before = {name: each.clone() for name, each in student.state_dict().items()}
    zeros = torch.zeros(8)
    start = ColdReading(torch.zeros(8, 5), zeros, zeros)
    learned = learned_reading(student, tiny_dataset, rows, UNTOUCHED, start)
    columns = student.item_table.columns_of(UNTOUCHED)

    def scores(reading: ColdReading) -> torch.Tensor:
        table = student.item_table().detach().clone()
        table[1:][UNTOUCHED] += reading.offset + columns @ reading.projection.T
        (query,) = student.encode_newest(torch.tensor([[0, 1, 2, 3]]), table).detach()
        found: torch.Tensor = table[1:] @ query
        return found

    def chance(reading: ColdReading) -> float:
        return float(scores(reading).softmax(dim=0)[3])

    alone = ColdReading(start.projection, learned.offset, zeros)
    assert chance(alone) > chance(start) + 0.1
    assert chance(learned) > chance(alone)
    # What they share cannot tell d from e; what their titles say can.
    d, e = scores(learned)[3:] - scores(alone)[3:]
    assert d > e
    assert all(torch.equal(before[name], each) for name, each in student.state_dict().items())
    assert all(each.grad is None for each in student.parameters())


def test_a_step_moves_the_projection_by_a_twentieth_of_what_it_moves_the_offset(
    student: Student, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step of Adam is its rate, whichever way the gradient points."""
    monkeypatch.setattr(cold_start, "STEPS", 1)
    start = ColdReading(torch.zeros(8, 5), torch.zeros(8), torch.zeros(8))
    rows = tiny_dataset.example_rows(Split.VALIDATION)
    learned = learned_reading(student, tiny_dataset, rows, UNTOUCHED, start)
    assert learned.offset.abs().tolist() == pytest.approx([0.04] * 8, rel=0.01)
    assert learned.projection.abs().flatten().tolist() == pytest.approx([0.002] * 40, rel=0.01)


def test_histories_are_read_with_what_is_being_learned_of_cold_items_and_the_start_stays(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    config = StudentConfig(hidden_size=8, num_layers=1, max_history_length=4)
    student = build_student(config, 6, torch.randn(6, 5), 0.5).eval()
    encode = student.encode_newest
    read: list[torch.Tensor] = []

    def encode_newest(histories: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        read.append((table - student.item_table()).detach().clone())
        return encode(histories, table)

    monkeypatch.setattr(student, "encode_newest", encode_newest)
    start = ColdReading(torch.ones(8, 5), torch.full((8,), 2.0), torch.full((8,), 3.0))
    rows = tiny_dataset.example_rows(Split.VALIDATION)
    learned = learned_reading(student, tiny_dataset, rows, UNTOUCHED, start)
    first, last = read[0], read[-1]
    columns = student.item_table.columns_of(UNTOUCHED)
    due = 2 + columns.sum(dim=1, keepdim=True).expand(2, 8)  # the weight of `g` is none of theirs
    torch.testing.assert_close(first[4:], due)
    assert not first[:4].any()
    assert not last[:4].any()
    assert (last[4:] - first[4:]).abs().min() > 0
    assert start.projection.eq(1).all()
    assert start.offset.eq(2).all()
    assert learned.direction.eq(3).all()


def test_what_is_learned_of_cold_items_adds_its_bonus_on_average(
    walker: Student, chain_dataset: Dataset
) -> None:
    rows = chain_dataset.example_rows(Split.VALIDATION)
    taught = cold_reading(walker, chain_dataset, rows, COLD, ~COLD)
    histories = pad_histories([chain_dataset.history(int(row)) for row in rows], 50)
    # As it was taught: cold items share nothing yet.
    queries = walker.encode_newest(torch.from_numpy(histories), walker.item_table()).detach()
    columns = walker.item_table.columns_of(COLD)
    added = queries @ (taught.adding(-0.75) + columns @ taught.projection.T).T
    assert float(added.mean()) == pytest.approx(-0.75, abs=0.02)
    assert float(taught.offset.norm()) > 0
    assert float((queries @ (columns.mean(dim=0) @ taught.projection.T)).mean().abs()) > 0.04


def test_what_one_half_teaches_hangs_on_no_other_example_and_on_no_place_before(
    walker: Student, chain_dataset: Dataset
) -> None:
    teaching, others = two_halves(chain_dataset)
    items = chain_dataset.item_indices.copy()
    elsewhere = np.concatenate([others, chain_dataset.example_rows(Split.TEST)])
    items[elsewhere] = items[elsewhere] % 12 + 1
    first = cold_reading(walker, chain_dataset, teaching, COLD, ~COLD)
    walker.item_table.place_cold_items(COLD, ~COLD, torch.full((8,), 3.0), torch.ones(8, 5))
    changed = replace(chain_dataset, item_indices=items)
    second = cold_reading(walker, changed, teaching, COLD, ~COLD)
    assert torch.equal(first.projection, second.projection)
    assert torch.equal(first.offset, second.offset)
    assert torch.equal(first.direction, second.direction)
    third = cold_reading(walker, chain_dataset, others, COLD, ~COLD)
    assert not torch.equal(first.offset, third.offset)
    assert not torch.equal(first.projection, third.projection)
