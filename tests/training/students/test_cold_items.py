import pytest
import torch

from training.students.item_table import ItemTable

NOTHING = torch.zeros(1, 2)  # as projection of cold items


def test_a_cold_item_has_the_mean_offset_of_the_nearest_titles_and_the_common_offset() -> None:
    # On a circle: items 1 to 6 at 0, 10 … 50 degrees, 7 opposite, and the cold item 8 at 45.
    degrees = torch.tensor([0.0, 10, 20, 30, 40, 50, 180, 45])
    table = ItemTable(9, 1, torch.zeros(9, 2))
    radians = degrees.deg2rad()
    table.embeddings = torch.stack([radians.cos(), radians.sin()], dim=1)
    assert table.projector is not None
    table.projector.weight.data.zero_()  # only offsets count
    table.offsets.data = torch.tensor([[100.0], [1], [2], [3], [4], [5], [1000], [-7]])
    untouched, everyone = torch.arange(8) == 7, torch.ones(8, dtype=torch.bool)
    table.place_cold_items(untouched, everyone, torch.tensor([0.5]), NOTHING)

    assert table.offsets[7].item() == pytest.approx(0.8 * (1 + 2 + 3 + 4 + 5) / 5 + 0.5)
    assert table.offsets[:7, 0].tolist() == [100, 1, 2, 3, 4, 5, 1000]
    # Placed again, it has nothing of the first time.
    table.place_cold_items(untouched, everyone, torch.tensor([0.0]), NOTHING)
    assert table.offsets[7].item() == pytest.approx(0.8 * 3)


def test_the_estimate_of_a_cold_item_is_shrunk_and_the_projection_of_cold_items_is_not() -> None:
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
    # Its title gives 2 * 20, the only donor 5, and the projection of cold items 4.
    assert table()[:, 0].tolist() == pytest.approx([0, 2 * 10 + 5, 0.8 * (40 + 5) + 4 + 0.25])
    new = torch.tensor([[1.0, 0]])
    assert table.cold_vectors(new).item() == pytest.approx(0.8 * (20 + 5) + 3 + 0.25)


def test_removing_cold_items_restores_the_table() -> None:
    torch.manual_seed(0)
    table = ItemTable(7, 4, torch.randn(7, 3))
    before = {name: each.clone() for name, each in table.state_dict().items()}
    untouched = torch.arange(6) == 5
    table.place_cold_items(untouched, ~untouched, torch.ones(4), torch.ones(4, 3))
    assert not torch.equal(table.offsets, before["offsets"])
    table.remove_cold_items(before["offsets"])
    after = table.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], each) for name, each in before.items())


def test_before_placement_the_vector_of_a_cold_item_is_its_projected_title() -> None:
    table = ItemTable(3, 1, torch.zeros(3, 2), weight=2.0)
    assert table.projector is not None
    table.projector.weight.data = torch.tensor([[10.0, 20.0]])
    assert table.cold_vectors(torch.tensor([[0.0, 1.0]])).tolist() == [[40.0]]


def test_only_donors_and_no_untouched_item_give_a_cold_item_its_offset() -> None:
    table = ItemTable(5, 1, torch.zeros(5, 2))
    table.embeddings = torch.tensor([[1.0, 0], [0, 1], [1, 1], [1, 0.1]])
    assert table.projector is not None
    table.projector.weight.data.zero_()
    table.offsets.data = torch.tensor([[100.0], [1], [3], [-7]])
    table.place_cold_items(
        torch.arange(4) == 3, torch.tensor([False, True, True, True]), torch.zeros(1), NOTHING
    )
    assert table.offsets[3].item() == pytest.approx(0.8 * 2)


def test_an_id_table_refuses_to_place_cold_items() -> None:
    with pytest.raises(ValueError, match="without LLM embeddings"):
        ItemTable(3, 1).place_cold_items(
            torch.tensor([True, False]), torch.tensor([False, True]), torch.zeros(1), NOTHING
        )


def saved_before_cold_items_had_a_class() -> dict[str, torch.Tensor]:
    """A state as checkpoints of earlier commits have it, of four items on two columns."""
    return {
        "offsets": torch.tensor([[1.0], [3.0], [7.0], [0.0]]),
        "cold_offset": torch.tensor([0.25]),
        "cold_projection": torch.tensor([[3.0, 4.0]]),
        "lenders": torch.tensor([True, True, False, False]),
        "embeddings": torch.tensor([[1.0, 0], [0, 1], [1, 1], [1, 0]]),
        "embedding_mean": torch.zeros(2),
        "embedding_columns": torch.eye(2),
        "projector.weight": torch.tensor([[10.0, 20.0]]),
    }


def test_a_state_of_an_earlier_commit_loads_and_is_saved_under_the_same_keys() -> None:
    saved = saved_before_cold_items_had_a_class()
    table = ItemTable(5, 1, torch.zeros(5, 2), weight=2.0)

    table.load_state_dict(saved)

    new = torch.tensor([[0.0, 1.0]])  # its title gives 2 * 20, two donors 2, the projection 4
    assert table.cold_vectors(new).item() == pytest.approx(0.8 * (40 + 2) + 4 + 0.25)
    state = table.state_dict()
    assert state.keys() == saved.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in saved.items())


def test_a_state_without_placed_cold_items_loads_into_a_table_that_has_them() -> None:
    table = ItemTable(5, 1, torch.zeros(5, 2))
    table.load_state_dict(saved_before_cold_items_had_a_class())
    unplaced = ItemTable(5, 1, torch.zeros(5, 2)).state_dict()
    assert "lenders" not in unplaced

    table.load_state_dict(unplaced)

    assert not table.cold_items.are_placed
    assert table.cold_items.projection is None


def test_a_state_with_an_unknown_key_is_still_refused() -> None:
    state = {**saved_before_cold_items_had_a_class(), "cold_something": torch.zeros(1)}
    with pytest.raises(RuntimeError, match="cold_something"):
        ItemTable(5, 1, torch.zeros(5, 2)).load_state_dict(state)
