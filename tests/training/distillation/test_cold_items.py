from pathlib import Path

import pytest
import torch

from training.config import StudentConfig, TrainingConfig
from training.data.dataset import Dataset
from training.distillation.batches import TrainingWindows
from training.distillation.cold_items import (
    BONUSES,
    Metrics,
    common_direction,
    place_cold_items,
    untouched_items,
)
from training.distillation.loop import Trainer
from training.evaluation.yardstick import SELECTION_METRIC
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


def metrics(figure: float) -> Metrics:
    return {SELECTION_METRIC: figure}


def test_items_that_share_an_offset_get_the_one_that_is_judged_best(
    student: Student, tiny_dataset: Dataset
) -> None:
    table = student.item_table
    before, judged = table().detach().clone()[1:], []

    def judge() -> Metrics:
        judged.append(table.cold_offset.norm().item())
        return metrics((0.1, 0.2, 0.2, 0.9, 0.4, 0.9, 0.3)[len(judged) - 1])

    bonus, brought = place_cold_items(student, tiny_dataset, UNTOUCHED, judge)

    assert (bonus, brought) == (1.5, metrics(0.9))  # the fourth, the first of equals
    added = table().detach()[1:] - before
    assert torch.equal(added[~UNTOUCHED], torch.zeros(3, 8))
    torch.testing.assert_close(added[UNTOUCHED], table.cold_offset.expand(2, 8))
    assert table.cold_offset.norm().item() == judged[3]
    assert judged == pytest.approx([bonus * judged[2] for bonus in BONUSES])


def test_the_bonus_is_what_the_score_of_each_rises_by(
    student: Student, tiny_dataset: Dataset
) -> None:
    history = torch.tensor([[0, 1, 2, 3]])  # ann's, before d
    before = student.score(history)
    figures = iter([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    place_cold_items(student, tiny_dataset, UNTOUCHED, lambda: metrics(next(figures)))
    risen = (student.score(history) - before)[0, 1:]
    assert risen.tolist() == pytest.approx([0, 0, 0, 1, 1], abs=0.01)


def test_an_item_that_is_only_read_in_training_is_touched_all_the_same(
    tiny_dataset: Dataset,
) -> None:
    # cay reads d, which no training row holds, before a training row.
    untouched = untouched_items(tiny_dataset, TrainingWindows(tiny_dataset, 4, 1))
    assert untouched.tolist() == [False, False, False, False, True]


@pytest.mark.parametrize("cold_bonus", [True, False])
def test_the_student_that_is_kept_has_cold_items_in_their_place_where_that_is_wanted(
    student: Student,
    tiny_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cold_bonus: bool,
) -> None:
    config = TrainingConfig(max_epochs=2, batch_size=2)
    trainer = Trainer(student, tiny_dataset, config, seed=0, cold_bonus=cold_bonus)
    offset = student.item_table.cold_offset
    monkeypatch.setattr(trainer, "validate", lambda: metrics(offset.norm().item()))

    progress = trainer.train(tmp_path / "state", "tiny")

    kept = progress.best_state["item_table.cold_offset"]
    assert bool(kept.any()) == cold_bonus
    assert progress.best_metrics == metrics(kept.norm().item())
    assert progress.cold_bonus == (BONUSES[-1] if cold_bonus else 0)


def test_where_training_touches_every_item_nothing_is_placed(
    chain_dataset: Dataset, tmp_path: Path
) -> None:
    student = build_student(StudentConfig(hidden_size=8), 13, torch.randn(13, 5))
    config = TrainingConfig(max_epochs=1)
    trainer = Trainer(student, chain_dataset, config, seed=0, cold_bonus=True)
    assert not trainer.train(tmp_path / "state", "chain").best_state["item_table.cold_offset"].any()
