import numpy as np
import pytest

from training.errors import KnowledgeError
from training.evaluation.stored import answers_ranker
from training.knowledge import Answers

ANSWERS = Answers(
    rows=np.array([2, 5, 9]),
    rankings=np.array([[1, 2], [3, 4], [5, 6]], dtype=np.int32),
    distances=np.zeros((3, 2), dtype=np.float32),
    next_item_distances=np.zeros(3, dtype=np.float32),
)


def test_answers_are_found_by_row() -> None:
    assert answers_ranker(ANSWERS)(np.array([9, 2])).tolist() == [[5, 6], [1, 2]]


@pytest.mark.parametrize("row", [0, 4, 10])
def test_a_row_without_an_answer_is_named(row: int) -> None:
    with pytest.raises(KnowledgeError, match=f"dataset row {row}: no answer"):
        answers_ranker(ANSWERS)(np.array([2, row]))
