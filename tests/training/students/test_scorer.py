import numpy as np
import torch

from training.data.dataset import Dataset
from training.settings.student import StudentConfig
from training.students.registry import build_student
from training.students.scorer import StudentScorer
from training.students.student import Student


def new_student(max_history_length: int) -> Student:
    torch.manual_seed(0)
    config = StudentConfig(max_history_length=max_history_length, hidden_size=8, dropout=0.9)
    return build_student(config, num_rows=6)


def test_each_row_is_scored_from_the_history_of_its_user_before_it(tiny_dataset: Dataset) -> None:
    student = new_student(max_history_length=9)

    scores = StudentScorer(student, tiny_dataset)(np.array([4, 6]))

    for line, history in zip(scores, [[1, 2, 3, 4], [2]], strict=True):
        expected = student.score(torch.tensor([history]))[0]
        torch.testing.assert_close(torch.from_numpy(line), expected.detach())


def test_only_the_newest_items_are_read(tiny_dataset: Dataset) -> None:
    student = new_student(max_history_length=2)

    scores = StudentScorer(student, tiny_dataset)(np.array([4]))

    expected = student.score(torch.tensor([[3, 4]]))
    torch.testing.assert_close(torch.from_numpy(scores), expected.detach())


def test_scoring_switches_dropout_off(tiny_dataset: Dataset) -> None:
    student = new_student(max_history_length=9).train()
    scorer = StudentScorer(student, tiny_dataset)

    assert np.array_equal(scorer(np.array([4])), scorer(np.array([4])))
