from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.distillation.conftest import COLD, UNTOUCHED
from training.data.dataset import Dataset, Split
from training.data.histories import pad_histories
from training.distillation.after_training.cold_fit import (
    ColdFit,
    centred_fit,
    common_direction,
    fit_from,
)
from training.distillation.after_training.cold_start import two_halves
from training.settings.distillation import DistillationConfig
from training.settings.student import StudentConfig
from training.students.registry import build_student
from training.students.student import Student

SETTINGS = DistillationConfig()


def test_the_common_direction_is_the_part_that_all_queries_share() -> None:
    # (1, 2) and (1, -2) agree on the first axis only.
    direction = common_direction(torch.tensor([[1.0, 2.0], [1.0, -2.0]]))
    assert direction.tolist() == pytest.approx([1, 0], abs=1e-3)


def test_a_fit_makes_the_next_cold_item_likelier_and_changes_no_weight_of_the_student(
    student: Student, tiny_dataset: Dataset
) -> None:
    rows = tiny_dataset.example_rows(Split.VALIDATION)  # ann's d, a cold one
    before = {name: each.clone() for name, each in student.state_dict().items()}
    zeros = torch.zeros(8)
    start = ColdFit(torch.zeros(8, 5), zeros, zeros)
    fitted = fit_from(start, student, tiny_dataset, rows, UNTOUCHED, SETTINGS)
    columns = student.item_table.columns_of(UNTOUCHED)

    def scores(fit: ColdFit) -> torch.Tensor:
        table = student.item_table().detach().clone()
        table[1:][UNTOUCHED] += fit.offset + columns @ fit.projection.T
        (query,) = student.encode_newest(torch.tensor([[0, 1, 2, 3]]), table).detach()
        found: torch.Tensor = table[1:] @ query
        return found

    def probability(fit: ColdFit) -> float:
        return float(scores(fit).softmax(dim=0)[3])

    offset_only = ColdFit(start.projection, fitted.offset, zeros)
    assert probability(offset_only) > probability(start) + 0.1
    assert probability(fitted) > probability(offset_only)
    # The common offset cannot tell d from e; the projection of titles can.
    d, e = scores(fitted)[3:] - scores(offset_only)[3:]
    assert d > e
    assert all(torch.equal(before[name], each) for name, each in student.state_dict().items())
    assert all(each.grad is None for each in student.parameters())


@pytest.mark.parametrize(("offset_rate", "projection_rate"), [(0.04, 0.002), (0.01, 0.03)])
def test_a_step_moves_offset_and_projection_by_their_learning_rates(
    student: Student, tiny_dataset: Dataset, offset_rate: float, projection_rate: float
) -> None:
    """Adam's first step is as long as its learning rate, whatever the gradient."""
    settings = DistillationConfig(
        cold_steps=1, cold_offset_rate=offset_rate, cold_projection_rate=projection_rate
    )
    start = ColdFit(torch.zeros(8, 5), torch.zeros(8), torch.zeros(8))
    rows = tiny_dataset.example_rows(Split.VALIDATION)
    fitted = fit_from(start, student, tiny_dataset, rows, UNTOUCHED, settings)
    assert fitted.offset.abs().tolist() == pytest.approx([offset_rate] * 8, rel=0.01)
    assert fitted.projection.abs().flatten().tolist() == pytest.approx(
        [projection_rate] * 40, rel=0.01
    )


def test_histories_are_read_with_the_fit_so_far_and_the_start_is_not_changed(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    config = StudentConfig(hidden_size=8, num_layers=1, max_history_length=4)
    student = build_student(config, 6, torch.randn(6, 5), 0.5).eval()
    encode = student.encode_newest
    moved: list[torch.Tensor] = []

    def encode_newest(histories: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        moved.append((table - student.item_table()).detach().clone())
        return encode(histories, table)

    monkeypatch.setattr(student, "encode_newest", encode_newest)
    start = ColdFit(torch.ones(8, 5), torch.full((8,), 2.0), torch.full((8,), 3.0))
    rows = tiny_dataset.example_rows(Split.VALIDATION)
    fitted = fit_from(start, student, tiny_dataset, rows, UNTOUCHED, SETTINGS)
    first, last = moved[0], moved[-1]
    columns = student.item_table.columns_of(UNTOUCHED)
    # `embedding_weight` scales `g` only.
    expected = 2 + columns.sum(dim=1, keepdim=True).expand(2, 8)
    torch.testing.assert_close(first[4:], expected)
    assert not first[:4].any()
    assert not last[:4].any()
    assert (last[4:] - first[4:]).abs().min() > 0
    assert start.projection.eq(1).all()
    assert start.offset.eq(2).all()
    assert fitted.direction.eq(3).all()


def test_a_centred_fit_adds_its_bonus_to_scores_on_average(
    walker: Student, chain_dataset: Dataset
) -> None:
    rows = chain_dataset.example_rows(Split.VALIDATION)
    fit = centred_fit(walker, chain_dataset, rows, COLD, ~COLD, SETTINGS)
    histories = pad_histories([chain_dataset.history(int(row)) for row in rows], 50)
    # The queries of the fit: cold items are placed by title and donors only.
    queries = walker.encode_newest(torch.from_numpy(histories), walker.item_table()).detach()
    columns = walker.item_table.columns_of(COLD)
    added = queries @ (fit.offset_with(-0.75) + columns @ fit.projection.T).T
    assert float(added.mean()) == pytest.approx(-0.75, abs=0.02)
    assert float(fit.offset.norm()) > 0
    assert float((queries @ (columns.mean(dim=0) @ fit.projection.T)).mean().abs()) > 0.04


def test_a_fit_depends_on_no_other_example_and_on_no_earlier_placement(
    walker: Student, chain_dataset: Dataset
) -> None:
    teaching, others = two_halves(chain_dataset)
    items = chain_dataset.item_indices.copy()
    elsewhere = np.concatenate([others, chain_dataset.example_rows(Split.TEST)])
    items[elsewhere] = items[elsewhere] % 12 + 1
    first = centred_fit(walker, chain_dataset, teaching, COLD, ~COLD, SETTINGS)
    walker.item_table.place_cold_items(COLD, ~COLD, torch.full((8,), 3.0), torch.ones(8, 5))
    changed = replace(chain_dataset, item_indices=items)
    second = centred_fit(walker, changed, teaching, COLD, ~COLD, SETTINGS)
    assert torch.equal(first.projection, second.projection)
    assert torch.equal(first.offset, second.offset)
    assert torch.equal(first.direction, second.direction)
    third = centred_fit(walker, chain_dataset, others, COLD, ~COLD, SETTINGS)
    assert not torch.equal(first.offset, third.offset)
    assert not torch.equal(first.projection, third.projection)
