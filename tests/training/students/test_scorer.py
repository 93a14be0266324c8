import numpy as np
import torch

from training.data.dataset import Dataset
from training.settings.student import StudentConfig
from training.students.registry import build_student
from training.students.scorer import StudentScorer
from training.students.student import Student


def new_student(max_history_length: int, readable: list[bool] | None = None) -> Student:
    torch.manual_seed(0)
    config = StudentConfig(max_history_length=max_history_length, hidden_size=8, dropout=0.9)
    mask = None if readable is None else torch.tensor(readable)
    return build_student(config, num_rows=6, readable=mask)


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


def test_items_that_are_not_read_take_no_place_in_the_window(tiny_dataset: Dataset) -> None:
    student = new_student(2, readable=[False, True, True, True, False, True])

    scores = StudentScorer(student, tiny_dataset)(np.array([4]))  # after a b c d

    expected = student.score(torch.tensor([[2, 3]]))
    torch.testing.assert_close(torch.from_numpy(scores), expected.detach())


def test_popularity_answers_where_nothing_of_a_history_is_read(tiny_dataset: Dataset) -> None:
    student = new_student(9, readable=[False, True, False, True, True, True])

    scores = StudentScorer(student, tiny_dataset)(np.array([4, 6]))  # after a b c d; after b

    expected = student.score(torch.tensor([[1, 3, 4]]))[0]
    torch.testing.assert_close(torch.from_numpy(scores[0]), expected.detach())
    # c has three training interactions, a and b two, d and e none
    assert scores[1].argsort()[::-1].tolist()[:5] == [3, 1, 2, 4, 5]
    assert scores[1][0] == -np.inf
