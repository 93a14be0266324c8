import torch
from torch import Tensor

from training.settings.student import StudentConfig
from training.students.caser import Caser
from training.students.item_table import ItemTable

CONFIG = StudentConfig(
    kind="caser",
    hidden_size=2,
    num_heads=1,
    convolution_window=2,
    horizontal_filters=1,
    vertical_filters=1,
)
ITEMS = torch.tensor([[[0.0, 0.0], [1.0, 2.0], [3.0, -1.0], [-2.0, 0.5]]])  # padding, a, b, c


def caser() -> Caser:
    return Caser(CONFIG, ItemTable(4, 2)).eval()


def set_filter(layer: torch.nn.Module, weights: list[list[float]], bias: float) -> None:
    """`weights` are rows of the filter, `[height, hidden]`."""
    assert isinstance(layer, torch.nn.Conv1d)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights).T[None])
        assert layer.bias is not None
        layer.bias.fill_(bias)


def test_a_horizontal_filter_is_max_pooled_within_each_image() -> None:
    student = caser()
    of_one, of_two = student.horizontal
    set_filter(of_one, [[1.0, 1.0]], bias=0.5)
    set_filter(of_two, [[1.0, 0.0], [0.0, 1.0]], bias=-0.5)

    outputs = [output.flatten().tolist() for output in student._horizontal(ITEMS)]

    # Of height 1, per item: .5, 3.5, 2.5, -1 -> 0; images are (padding, a), (a, b), (b, c).
    # Of height 2, first of the older plus second of the newer: 2 - .5, 0 - .5 -> 0, 3.5 - .5.
    assert outputs == [[3.5, 3.5, 2.5], [1.5, 0.0, 3.0]]


def test_a_vertical_filter_is_a_weighted_sum_of_the_rows_of_each_image() -> None:
    student = caser()
    with torch.no_grad():
        student.vertical.weight.copy_(torch.tensor([2.0, 1.0]).view(1, 1, 2, 1))
        assert student.vertical.bias is not None
        student.vertical.bias.zero_()

    sums: Tensor = student._vertical(ITEMS)

    assert sums.tolist() == [[[1.0, 2.0], [5.0, 3.0], [4.0, -1.5]]]


def test_items_before_the_window_change_no_query() -> None:
    student = caser()
    table = student.item_table()

    newest = [student.encode_newest(torch.tensor([[first, 2, 1]]), table) for first in (1, 3)]

    assert torch.equal(*newest)
