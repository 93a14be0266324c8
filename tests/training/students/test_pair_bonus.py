import math

import pytest
import torch

from training.settings.student import StudentConfig
from training.students.pair_bonus import PairBonus
from training.students.registry import build_student
from training.students.student import Student


def some_pairs() -> PairBonus:
    """Item 1 has pairs with 2 (weight 3) and 3 (weight 1), item 2 with 3 (weight 4)."""
    items = torch.tensor([[0, 0], [2, 3], [3, 0], [0, 0]], dtype=torch.int32)
    weights = torch.tensor([[0.0, 0.0], [3.0, 1.0], [4.0, 0.0], [0.0, 0.0]])
    return PairBonus(items, weights, decay=0.5, strength=2.0)


def a_student() -> Student:
    torch.manual_seed(0)
    return build_student(StudentConfig(hidden_size=8, num_layers=1, max_history_length=4), 4).eval()


def test_pairs_of_the_newest_item_count_whole_and_those_of_older_items_less() -> None:
    # 2, the newest, gives 3 a weight of 4; 1, one older, gives 2 half of 3, and 3 half of 1.
    bonus = some_pairs()(torch.tensor([[1, 2]]))
    expected = [0.0, 0.0, 2 * math.log(1 + 1.5), 2 * math.log(1 + 4.5)]
    assert bonus[0].tolist() == pytest.approx(expected)


def test_padding_gives_no_bonus() -> None:
    bonus = some_pairs()
    assert torch.equal(bonus(torch.tensor([[0, 0, 1, 2]])), bonus(torch.tensor([[1, 2]])))


def test_a_student_adds_the_bonus_to_its_scores() -> None:
    student, history = a_student(), torch.tensor([[1, 2], [0, 3]])
    without = student.score(history)
    student.pair_bonus = some_pairs()
    added = (student.score(history) - without)[:, 1:]
    assert torch.allclose(added, some_pairs()(history)[:, 1:], atol=1e-6)


def test_a_student_is_restored_with_its_bonus_and_without_another_ones() -> None:
    with_bonus, other = a_student(), a_student()
    with_bonus.pair_bonus = some_pairs()
    without = other.state_dict()

    other.load_state_dict(with_bonus.state_dict())
    history = torch.tensor([[1, 2]])
    assert torch.equal(other.score(history), with_bonus.score(history))

    other.load_state_dict(without)
    assert other.pair_bonus is None
