"""Freezes how an LLM embedding becomes an item vector: `weight * g(z)` (paper eq. 12-13) and more.

An item that no student was trained on has an embedding and the offset of cold items, if any.
Standardising, projecting, weighting and adding it are one affine map, written as one node.
"""

from pathlib import Path
from string import Template

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import checker, numpy_helper, parser

from export.bundle import ENCODER_TENSORS
from export.to_onnx import OPSET
from training.errors import TrainingError
from training.students.student import ItemTable

MAX_VECTOR_ERROR = 1e-4

# The input and output are those of `export.bundle.EncoderTensors`.
ENCODER_GRAPH = Template("""
<ir_version: 10, opset_import: ["": $opset]>
item_encoder (float[batch, $size] embeddings) => (float[batch, $hidden_size] vectors)
{
    vectors = Gemm<transB = 1>(embeddings, projection, shift)
}
""")


class ItemEncoderError(TrainingError):
    """The encoder does not make the vectors of the items that the student was trained on."""


def export_item_encoder(
    item_table: ItemTable, item_embeddings: NDArray[np.float32], path: Path
) -> bool:
    """Writes the encoder of `item_table`, unless it is a plain table, and tells whether it did.

    Args:
        item_table: the trained table.
        item_embeddings: `[items + 1, size]`, the embeddings it was built from, row 0 not read.
        path: where to write.

    Raises:
        ItemEncoderError: the table was built from other embeddings.
    """
    if (
        item_table.projector is None
        or item_table.embedding_columns is None
        or item_table.embedding_mean is None
    ):
        return False
    embeddings = item_embeddings[1:]
    weight = item_table.weight * item_table.projector.weight.detach().double().numpy()
    projection = weight @ item_table.embedding_columns.double().numpy().T
    cold = item_table.cold_offset.double().numpy()
    shift = cold - projection @ item_table.embedding_mean.double().numpy()
    constants = {"projection": projection, "shift": shift}
    hidden_size, size = projection.shape
    model = parser.parse_model(
        ENCODER_GRAPH.substitute(opset=OPSET, size=size, hidden_size=hidden_size)
    )
    for name, constant in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(constant.astype(np.float32), name))
    checker.check_model(model, full_check=True)
    onnx.save(model, path)
    _check(path, item_table, embeddings)
    return True


def _check(path: Path, item_table: ItemTable, embeddings: NDArray[np.float32]) -> None:
    """With its own offset for that of cold items, each item must have its vector."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (vectors,) = session.run([ENCODER_TENSORS.vectors], {ENCODER_TENSORS.embeddings: embeddings})
    due = item_table().detach().numpy()[1:]
    own = item_table.offsets.detach().numpy() - item_table.cold_offset.numpy()
    error = np.abs(vectors + own - due).max()
    if not error <= MAX_VECTOR_ERROR:
        raise ItemEncoderError(
            f"item vectors differ by {error:.2g} (at most {MAX_VECTOR_ERROR:g}): the student "
            f"learnt from other LLM embeddings than those given"
        )
