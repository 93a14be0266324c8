from pathlib import Path

import pytest
import torch

from training.config import StudentConfig, TrainingConfig
from training.data.dataset import Dataset
from training.distillation.loop import Trainer
from training.distillation.newcomers import BONUSES, common_direction, place_newcomers
from training.students.registry import build_student
from training.students.student import Student

# Of tiny_dataset, d and e are in no training row; ann's validation item is d.
UNTRAINED = torch.tensor([False, False, False, True, True])


@pytest.fixture
def student() -> Student:
    torch.manual_seed(0)
    config = StudentConfig(hidden_size=8, num_layers=1, max_history_length=4)
    return build_student(config, 6, torch.randn(6, 5)).eval()


def test_the_common_direction_is_what_every_query_has_and_no_more() -> None:
    # (1, 2) and (1, -2) agree on the first axis alone.
    direction = common_direction(torch.tensor([[1.0, 2.0], [1.0, -2.0]]))
    assert direction.tolist() == pytest.approx([1, 0], abs=1e-3)


def test_untrained_items_share_the_offset_that_is_judged_best(
    student: Student, tiny_dataset: Dataset
) -> None:
    table = student.item_table
    before, judged = table().detach().clone()[1:], []

    def judge() -> float:
        judged.append(table.newcomer_offset.norm().item())
        return (0.1, 0.2, 0.2, 0.9, 0.4, 0.9, 0.3)[len(judged) - 1]

    assert place_newcomers(student, tiny_dataset, judge) == BONUSES[3] == 1.5

    added = table().detach()[1:] - before
    assert torch.equal(added[~UNTRAINED], torch.zeros(3, 8))
    torch.testing.assert_close(added[UNTRAINED], table.newcomer_offset.expand(2, 8))
    assert table.newcomer_offset.norm().item() == judged[3]
    assert judged == pytest.approx([bonus * judged[2] for bonus in BONUSES])


def test_the_bonus_is_what_the_score_of_each_rises_by(
    student: Student, tiny_dataset: Dataset
) -> None:
    history = torch.tensor([[0, 1, 2, 3]])  # ann's, before d
    before = student.score(history)
    place_newcomers(student, tiny_dataset, iter([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]).__next__)
    risen = (student.score(history) - before)[0, 1:]
    assert risen.tolist() == pytest.approx([0, 0, 0, 1, 1], abs=0.01)


def test_where_all_items_are_trained_nothing_is_asked(chain_dataset: Dataset) -> None:
    def judge() -> float:
        raise AssertionError

    student = build_student(StudentConfig(hidden_size=8), 13, torch.randn(13, 5))
    assert place_newcomers(student, chain_dataset, judge) == 0


@pytest.mark.parametrize("newcomers", [True, False])
def test_the_student_that_is_kept_has_its_newcomers_in_their_place(
    student: Student,
    tiny_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    newcomers: bool,
) -> None:
    config = TrainingConfig(max_epochs=2, batch_size=2)
    trainer = Trainer(student, tiny_dataset, config, seed=0, newcomers=newcomers)
    offset = student.item_table.newcomer_offset
    monkeypatch.setattr(trainer, "validate", lambda: {"NDCG@20": offset.norm().item()})

    progress = trainer.train(tmp_path / "state", "tiny")

    kept = progress.best_state["item_table.newcomer_offset"]
    assert bool(kept.any()) == newcomers
    assert progress.best_metrics == {"NDCG@20": kept.norm().item()}
