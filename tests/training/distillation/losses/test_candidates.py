import numpy as np
import pytest
import torch

from training.data.dataset import Dataset
from training.distillation.losses.candidates import answers_among, next_item_candidates
from training.distillation.trainer import candidates_of
from training.knowledge import Answers
from training.settings.experiment import TrainingConfig
from training.settings.student import StudentConfig
from training.students.item_table import ItemTable
from training.students.registry import build_student

COUNTS = np.array([0, 3, 0, 1, 0])  # items 2 and 4 were never trained on


def test_without_embeddings_all_items_are_candidates() -> None:
    everything = next_item_candidates(COUNTS, only_trained=False)
    assert everything.rows.tolist() == [0, 1, 2, 3, 4]
    assert everything.indices(torch.tensor([4, 0])).tolist() == [4, 0]


def test_trained_candidates_have_indices_of_their_own_after_padding() -> None:
    trained = next_item_candidates(COUNTS, only_trained=True)
    assert trained.rows.tolist() == [0, 1, 3]
    assert trained.indices(torch.tensor([1, 3, 2])).tolist() == [1, 2, 0]
    np.testing.assert_array_equal(trained.train_counts, [0, 3, 1])


def test_the_table_of_candidates_holds_their_vectors() -> None:
    table = torch.arange(10.0).reshape(5, 2)
    expected = torch.tensor([[0.0, 1.0], [2.0, 3.0], [6.0, 7.0]])
    torch.testing.assert_close(
        next_item_candidates(COUNTS, only_trained=True).table(table), expected
    )


def test_an_untrained_item_leaves_an_empty_place_in_a_list() -> None:
    answers = Answers(
        rows=np.array([7]),
        rankings=np.array([[2, 3, 1]], dtype=np.int32),
        distances=np.array([[0.1, 0.2, 0.3]], dtype=np.float32),
        next_item_distances=np.array([0.2], dtype=np.float32),
    )
    kept = answers_among(answers, next_item_candidates(COUNTS, only_trained=True))
    np.testing.assert_array_equal(kept.rankings, [[0, 3, 1]])


@pytest.mark.parametrize(("embeddings", "num_candidates"), [(None, 6), (torch.randn(6, 4), 4)])
def test_only_a_student_with_embeddings_leaves_untrained_items_out(
    tiny_dataset: Dataset, embeddings: torch.Tensor | None, num_candidates: int
) -> None:
    student = build_student(StudentConfig(hidden_size=4), 6, embeddings)
    candidates = candidates_of(student, tiny_dataset, TrainingConfig())
    assert len(candidates.rows) == num_candidates  # padding, a, b, c


def test_a_student_without_embeddings_leaves_them_out_if_the_setting_says_so(
    tiny_dataset: Dataset,
) -> None:
    student = build_student(StudentConfig(hidden_size=4), 6)
    candidates = candidates_of(student, tiny_dataset, TrainingConfig(trained_candidates=True))
    assert candidates.rows.tolist() == [0, 1, 2, 3]


def test_offset_dropout_applies_in_training_only() -> None:
    torch.manual_seed(0)
    table = ItemTable(1001, 2, torch.randn(1001, 3), offset_dropout=0.25)
    torch.nn.init.ones_(table.offsets)
    assert table.projector is not None
    torch.nn.init.zeros_(table.projector.weight)
    shown = table.train()()[1:, 0]
    assert set(shown.tolist()) == {0.0, 1.0}
    assert shown.mean().item() == pytest.approx(0.75, abs=0.05)
    assert table.eval()()[1:].eq(1).all()


def test_an_untrained_item_is_its_projected_title() -> None:
    table = ItemTable(4, 2, torch.randn(4, 3)).eval()
    assert table.projector is not None
    assert table.embeddings is not None
    torch.testing.assert_close(table()[1:], table.projector(table.embeddings))
