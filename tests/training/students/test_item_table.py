import math
from statistics import fmean, pstdev

import pytest
import torch

from training.students.item_table import ItemTable


def test_without_embeddings_the_table_is_the_offsets_under_a_row_of_zeros() -> None:
    table = ItemTable(num_rows=3, hidden_size=2)
    with torch.no_grad():
        table.offsets.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))

    assert table().tolist() == [[0, 0], [1, 2], [3, 4]]


def test_an_item_vector_is_the_weighted_projection_plus_the_offset() -> None:
    table = ItemTable(3, 1, embeddings=torch.tensor([[9.0], [1.0], [3.0]]), weight=0.5)
    assert table.projector is not None
    with torch.no_grad():
        table.offsets.copy_(torch.tensor([[10.0], [20.0]]))
        table.projector.weight.fill_(4.0)

    # Standardised over the real rows 1 and 3: -1 and 1; 0.5 * 4 * (-1) + 10 and 0.5 * 4 * 1 + 20.
    assert table().tolist() == [[0], [8], [22]]


def test_the_table_is_the_formula_written_as_a_loop() -> None:
    torch.manual_seed(1)
    embeddings = torch.randn(5, 3)
    table = ItemTable(5, 2, embeddings, weight=0.7)
    assert table.projector is not None
    projector, offsets = table.projector.weight.tolist(), table.offsets.tolist()

    columns = list(zip(*embeddings[1:].tolist(), strict=True))
    means = [fmean(column) for column in columns]
    deviations = [pstdev(column) for column in columns]
    expected = [[0.0, 0.0]]
    for embedding, offset in zip(embeddings[1:].tolist(), offsets, strict=True):
        inputs = [
            (value - mean) / deviation / math.sqrt(3)
            for value, mean, deviation in zip(embedding, means, deviations, strict=True)
        ]
        expected.append(
            [
                0.7 * sum(weight * value for weight, value in zip(row, inputs, strict=True)) + own
                for row, own in zip(projector, offset, strict=True)
            ]
        )

    for row, by_hand in zip(table().tolist(), expected, strict=True):
        assert row == pytest.approx(by_hand, abs=1e-6)


def test_without_an_offset_an_item_is_its_projection_and_the_offset_gets_no_gradient() -> None:
    table = ItemTable(4, 2, embeddings=torch.eye(4), offset=False)
    torch.autograd.backward(table().sum())

    assert not table.offsets.any()
    assert table.offsets.grad is None
    assert table().any(dim=1).tolist() == [False, True, True, True]


def test_the_padding_row_is_zeros_and_no_parameter() -> None:
    table = ItemTable(4, 2, embeddings=torch.ones(4, 3))
    vectors = table()
    torch.autograd.backward(vectors.sum())

    assert vectors[0].tolist() == [0, 0]
    assert table.offsets.grad is not None
    assert table.offsets.grad.shape == (3, 2)


@pytest.mark.parametrize("size", [None, 3])
def test_the_vectors_of_some_items_are_their_rows_of_the_table(size: int | None) -> None:
    torch.manual_seed(0)
    table = ItemTable(6, 2, None if size is None else torch.randn(6, size))
    torch.nn.init.normal_(table.offsets)

    vectors = table.vectors_of(torch.tensor([5, 1, 3]))

    torch.testing.assert_close(vectors, table()[[5, 1, 3]])
