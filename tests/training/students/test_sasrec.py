import torch

from training.students.sasrec import visible_items


def test_each_position_sees_real_items_up_to_itself_and_padding_only_itself() -> None:
    assert visible_items(torch.tensor([[0, 4, 2]]))[0, 0].int().tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 1, 1],
    ]
