from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from export.bundle import ENCODER_TENSORS
from export.item_encoder import export_item_encoder
from training.students.student import ItemTable


def test_a_plain_table_has_no_encoder(tmp_path: Path) -> None:
    embeddings = np.zeros((4, 3), dtype=np.float32)
    assert not export_item_encoder(ItemTable(4, 2), embeddings, tmp_path / "encoder.onnx")
    assert not (tmp_path / "encoder.onnx").exists()


def test_a_dimension_that_never_varied_says_nothing_of_new_items(tmp_path: Path) -> None:
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


def test_a_new_item_gets_what_cold_items_have_in_place_of_an_offset(tmp_path: Path) -> None:
    torch.manual_seed(0)
    embeddings = torch.randn(5, 3)
    table = ItemTable(5, 2, embeddings)
    table.offsets.data = torch.randn(4, 2)
    table.place_cold_items(torch.tensor([False, False, True, False]), torch.tensor([3.0, -1.0]))

    assert export_item_encoder(table, embeddings.numpy(), tmp_path / "encoder.onnx")

    encoder = ort.InferenceSession(tmp_path / "encoder.onnx")
    untrained = {ENCODER_TENSORS.embeddings: embeddings[3:4].numpy()}
    (vectors,) = encoder.run(None, untrained)
    np.testing.assert_allclose(vectors[0], table()[3].detach().numpy(), atol=1e-5)
