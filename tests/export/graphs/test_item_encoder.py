from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from export.contract.tensors import ENCODER_TENSORS
from export.graphs.item_encoder import ItemEncoderError, export_item_encoder
from training.students.item_table import ItemTable


def test_a_table_without_embeddings_has_no_encoder(tmp_path: Path) -> None:
    embeddings = np.zeros((4, 3), dtype=np.float32)
    assert not export_item_encoder(ItemTable(4, 2), embeddings, tmp_path / "encoder.onnx")
    assert not (tmp_path / "encoder.onnx").exists()


def test_a_dimension_that_never_varied_has_no_effect_on_new_items(tmp_path: Path) -> None:
    """Scaled by a spread of nearly 0 it would drown all the others."""
    generator = np.random.default_rng(0)
    embeddings = generator.normal(size=(9, 3)).astype(np.float32)
    embeddings[:, 1] = 5
    torch.manual_seed(0)
    table = ItemTable(9, 2, torch.from_numpy(embeddings))
    assert export_item_encoder(table, embeddings, tmp_path / "encoder.onnx")
    encoder = ort.InferenceSession(tmp_path / "encoder.onnx")
    new = np.array([[1, 5, 1], [1, 6, 1]], dtype=np.float32)
    (vectors,) = encoder.run(None, {ENCODER_TENSORS.embeddings: new})
    np.testing.assert_array_equal(vectors[0], vectors[1])


@pytest.mark.parametrize("many", [True, False])
def test_a_new_item_gets_what_cold_items_have_in_place_of_an_offset(
    tmp_path: Path, many: bool
) -> None:
    torch.manual_seed(0)
    embeddings = torch.randn(9, 3)
    table = ItemTable(9, 2, embeddings)
    table.offsets.data = torch.randn(8, 2)
    untouched = torch.tensor([False, False, True, False, False, False, True, False])
    # Two of them, so that not all of five neighbours are there, or six.
    donors = torch.tensor([True, True, False, *[many] * 3, False, many])
    table.place_cold_items(untouched, donors, torch.tensor([3.0, -1.0]), torch.randn(2, 3))

    assert export_item_encoder(table, embeddings.numpy(), tmp_path / "encoder.onnx")

    encoder = ort.InferenceSession(tmp_path / "encoder.onnx")
    untrained = {ENCODER_TENSORS.embeddings: embeddings[[3, 7]].numpy()}
    (vectors,) = encoder.run(None, untrained)
    np.testing.assert_allclose(vectors, table()[[3, 7]].detach().numpy(), atol=1e-5)


def test_equal_titles_may_be_neighbours_in_any_order(tmp_path: Path) -> None:
    """Eight titles are equally near, and any five of them are right."""
    torch.manual_seed(0)
    embeddings = torch.randn(12, 3).repeat_interleave(8, dim=0)
    embeddings[0] = 0
    table = ItemTable(96, 2, embeddings)
    table.offsets.data.normal_()
    table.place_cold_items(
        torch.arange(95) == 7, torch.arange(95) != 7, torch.ones(2), torch.ones(2, 3)
    )
    assert export_item_encoder(table, embeddings.numpy(), tmp_path / "encoder.onnx")


@pytest.mark.parametrize("places_cold_items", [False, True])
def test_embeddings_that_the_student_has_not_learnt_from_are_refused(
    tmp_path: Path, places_cold_items: bool
) -> None:
    torch.manual_seed(0)
    table = ItemTable(9, 2, torch.randn(9, 3))
    if places_cold_items:
        table.place_cold_items(
            torch.arange(8) == 2, torch.arange(8) != 2, torch.ones(2), torch.ones(2, 3)
        )
    with pytest.raises(ItemEncoderError, match="other LLM embeddings"):
        export_item_encoder(table, torch.randn(9, 3).numpy(), tmp_path / "encoder.onnx")
