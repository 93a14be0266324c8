import math
from statistics import fmean, pstdev

import pytest
import torch

from training.students.student import ItemTable, principal_columns, standardised

NOTHING = torch.zeros(1, 2)  # that titles say of cold items alone


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


def test_a_column_that_never_varies_standardises_to_zeros() -> None:
    embeddings = torch.tensor([[5.0, 1.0], [5.0, 3.0]])

    assert standardised(embeddings).tolist() == [[0, -1], [0, 1]]


def test_the_folded_table_has_the_same_vectors_and_no_projector() -> None:
    torch.manual_seed(0)
    table = ItemTable(6, 4, embeddings=torch.randn(6, 8))

    folded = table.folded()

    assert torch.equal(folded(), table())
    assert {name for name, _ in folded.named_parameters()} == {"offsets"}


def test_the_folded_table_is_the_formula_by_a_plain_loop() -> None:
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
        seen = [
            (value - mean) / deviation / math.sqrt(3)
            for value, mean, deviation in zip(embedding, means, deviations, strict=True)
        ]
        expected.append(
            [
                0.7 * sum(weight * value for weight, value in zip(row, seen, strict=True)) + own
                for row, own in zip(projector, offset, strict=True)
            ]
        )

    for row, by_hand in zip(table.folded()().tolist(), expected, strict=True):
        assert row == pytest.approx(by_hand, abs=1e-6)


def test_without_an_offset_an_item_is_the_projection_alone_and_stays_so() -> None:
    table = ItemTable(4, 2, embeddings=torch.eye(4), offset=False)
    torch.autograd.backward(table().sum())

    assert not table.offsets.any()
    assert table.offsets.grad is None
    assert table().any(dim=1).tolist() == [False, True, True, True]


def test_the_padding_row_learns_nothing() -> None:
    table = ItemTable(4, 2, embeddings=torch.ones(4, 3))
    vectors = table()
    torch.autograd.backward(vectors.sum())

    assert vectors[0].tolist() == [0, 0]
    assert table.offsets.grad is not None
    assert table.offsets.grad.shape == (3, 2)


def test_of_many_columns_those_are_read_that_vary_most_and_are_apart() -> None:
    """Two columns say the same, a third something else, a fourth nothing."""
    same, other = torch.tensor([3.0, -3.0, 1.0, -1.0]), torch.tensor([1.0, 1.0, -1.0, -1.0])
    embeddings = torch.stack([same, 2 * same + 5, other, torch.full((4,), 7.0)], dim=1)

    columns = principal_columns(embeddings, max_columns=2)
    read = (embeddings - embeddings.mean(dim=0)) @ columns

    assert (read**2).sum(dim=0).tolist() == pytest.approx([4 * 2 / 4, 4 * 1 / 4])
    assert (read[:, 0] @ read[:, 1]).item() == pytest.approx(0, abs=1e-6)
    assert columns[3].tolist() == [0, 0]


def test_a_cold_item_has_the_mean_offset_of_the_nearest_titles_and_what_all_of_them_share() -> None:
    # On a circle: items 1 to 6 at 0, 10 … 50 degrees, 7 opposite, and the cold item 8 at 45.
    degrees = torch.tensor([0.0, 10, 20, 30, 40, 50, 180, 45])
    table = ItemTable(9, 1, torch.zeros(9, 2))
    radians = degrees.deg2rad()
    table.embeddings = torch.stack([radians.cos(), radians.sin()], dim=1)
    assert table.projector is not None
    table.projector.weight.data.zero_()  # offsets alone
    table.offsets.data = torch.tensor([[100.0], [1], [2], [3], [4], [5], [1000], [-7]])
    untouched, everyone = torch.arange(8) == 7, torch.ones(8, dtype=torch.bool)
    table.place_cold_items(untouched, everyone, torch.tensor([0.5]), NOTHING)

    assert table.offsets[7].item() == pytest.approx(0.8 * (1 + 2 + 3 + 4 + 5) / 5 + 0.5)
    assert table.offsets[:7, 0].tolist() == [100, 1, 2, 3, 4, 5, 1000]
    # Placed again, it has no more of its place before.
    table.place_cold_items(untouched, everyone, torch.tensor([0.0]), NOTHING)
    assert table.offsets[7].item() == pytest.approx(0.8 * 3)


def test_what_a_title_says_is_shrunk_of_a_cold_item_but_for_what_it_says_of_cold_ones_alone() -> (
    None
):
    table = ItemTable(3, 1, torch.zeros(3, 2), weight=2.0)
    table.embeddings = torch.tensor([[1.0, 0], [0, 1]])
    assert table.projector is not None
    table.projector.weight.data = torch.tensor([[10.0, 20.0]])
    table.offsets.data = torch.tensor([[5.0], [-7.0]])
    table.place_cold_items(
        torch.tensor([False, True]),
        torch.tensor([True, False]),
        torch.tensor([0.25]),
        torch.tensor([[3.0, 4.0]]),
    )
    # Its title says 2 * 20, the only lender 5, and of cold items alone its title says 4.
    assert table()[:, 0].tolist() == pytest.approx([0, 2 * 10 + 5, 0.8 * (40 + 5) + 4 + 0.25])
    new = torch.tensor([[1.0, 0]])
    assert table.cold_vectors(new).item() == pytest.approx(0.8 * (20 + 5) + 3 + 0.25)


def test_a_table_forgets_that_its_cold_items_were_placed() -> None:
    torch.manual_seed(0)
    table = ItemTable(7, 4, torch.randn(7, 3))
    before = {name: each.clone() for name, each in table.state_dict().items()}
    untouched = torch.arange(6) == 5
    table.place_cold_items(untouched, ~untouched, torch.ones(4), torch.ones(4, 3))
    assert not torch.equal(table.offsets, before["offsets"])
    table.forget_cold_items(before["offsets"])
    after = table.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], each) for name, each in before.items())


def test_a_cold_item_that_was_not_placed_is_its_title() -> None:
    table = ItemTable(3, 1, torch.zeros(3, 2), weight=2.0)
    assert table.projector is not None
    table.projector.weight.data = torch.tensor([[10.0, 20.0]])
    assert table.cold_vectors(torch.tensor([[0.0, 1.0]])).tolist() == [[40.0]]


def test_a_cold_item_has_its_offset_of_those_alone_that_lend_it() -> None:
    table = ItemTable(5, 1, torch.zeros(5, 2))
    table.embeddings = torch.tensor([[1.0, 0], [0, 1], [1, 1], [1, 0.1]])
    assert table.projector is not None
    table.projector.weight.data.zero_()
    table.offsets.data = torch.tensor([[100.0], [1], [3], [-7]])
    table.place_cold_items(
        torch.arange(4) == 3, torch.tensor([False, True, True, True]), torch.zeros(1), NOTHING
    )
    assert table.offsets[3].item() == pytest.approx(0.8 * 2)


def test_ids_alone_have_no_titles_to_place_cold_items_by() -> None:
    with pytest.raises(ValueError, match="without LLM embeddings"):
        ItemTable(3, 1).place_cold_items(
            torch.tensor([True, False]), torch.tensor([False, True]), torch.zeros(1), NOTHING
        )
