"""Exports the item encoder: the graph that makes an item vector from an LLM embedding `z`.

The vector is `weight * g(z)` (DLLM2Rec, eq. 12-13), plus the estimate of an offset for cold items
(`training.students.cold_items`). The steps are to standardise, project, weight and shrink, and to
add an offset that all cold items share. Together they are one affine map, so one node computes
them. If cold items borrow offsets, the graph also finds the donors with the nearest titles, and
adds the mean of their offsets.
"""

from collections.abc import Mapping
from pathlib import Path
from string import Template

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import checker, numpy_helper, parser
from torch import Tensor

from export.contract.tensors import ENCODER_TENSORS
from export.graphs.encoder import OPSET
from training.errors import TrainingError
from training.students.cold_items import NUM_NEIGHBOURS
from training.students.item_table import ItemTable

MAX_VECTOR_ERROR = 1e-4
MAX_CHECKED = 4_096  # maximum number of items whose vectors are checked
TIE = 1e-5  # cosines that differ by less may swap by rounding

Constants = Mapping[str, NDArray[np.generic]]

# The input and output are those of `export.contract.tensors.EncoderTensors`.
ENCODER_GRAPH = Template("""
<ir_version: 10, opset_import: ["": $opset]>
item_encoder (float[batch, $size] embeddings) => (float[batch, $hidden_size] vectors)
{
    $neighbours
    vectors = Gemm<transB = 1>(embeddings, projection, $shift)
}
""")
# The search of `ItemTable.cold_vectors`. `columns` need not be normalised: its length scales the
# similarities to all donors by the same factor, so their order stays.
NEIGHBOURS = """
    centred = Sub(embeddings, mean)
    columns = MatMul(centred, embedding_columns)
    likeness = MatMul(columns, directions)
    most_alike, nearest = TopK(likeness, num_neighbours)
    offsets_of_nearest = Gather(offsets, nearest)
    neighbour_offset = ReduceMean<keepdims = 0>(offsets_of_nearest, of_neighbours)
    moved = Add(neighbour_offset, shift)
"""


class ItemEncoderError(TrainingError):
    """An item encoder whose vectors differ from those that torch computes for the same titles."""


def export_item_encoder(
    item_table: ItemTable, item_embeddings: NDArray[np.float32], path: Path
) -> bool:
    """Writes the item encoder of a student, and checks it on the items of the student's catalog.

    Args:
        item_table: the student's trained item table.
        item_embeddings: `[items + 1, size]`, the LLM embeddings of titles that the student was
            trained with; row 0 is padding and is not used.
        path: the file to write.

    Returns:
        True if the encoder was written; False if the item table uses no LLM embeddings.

    Raises:
        ItemEncoderError: the encoder's vectors are wrong, because the student was trained with
            other embeddings.
    """
    constants = _affine_constants(item_table)
    if constants is None:
        return False
    hidden_size, size = constants["projection"].shape
    neighbours = _neighbour_constants(item_table)
    text = ENCODER_GRAPH.substitute(
        opset=OPSET,
        size=size,
        hidden_size=hidden_size,
        neighbours=NEIGHBOURS if neighbours else "",
        shift="moved" if neighbours else "shift",
    )
    model = parser.parse_model(text)
    for name, constant in {**constants, **neighbours}.items():
        model.graph.initializer.append(numpy_helper.from_array(constant, name))
    checker.check_model(model, full_check=True)
    onnx.save(model, path)
    _check(path, item_table, item_embeddings[1:])
    return True


def _affine_constants(table: ItemTable) -> Constants | None:
    if table.projector is None or table.embedding_columns is None or table.embedding_mean is None:
        return None
    cold = table.cold_items
    weight = cold.shrinkage * table.weight * table.projector.weight.detach().double().numpy()
    if cold.projection is not None:
        weight += cold.projection.double().numpy()
    projection = weight @ table.embedding_columns.double().numpy().T
    shift = cold.offset.double().numpy() - projection @ table.embedding_mean.double().numpy()
    return {"projection": projection.astype(np.float32), "shift": shift.astype(np.float32)}


def _neighbour_constants(table: ItemTable) -> Constants:
    """Returns the constants of the search for donors, `NEIGHBOURS`, keyed by name.

    The result is empty if cold items borrow no offsets.
    """
    cold = table.cold_items
    if cold.donors is None:
        return {}
    trained = table.all_items()
    buffers = {"mean": table.embedding_mean, "embedding_columns": table.embedding_columns}
    return {
        **{name: each.numpy() for name, each in buffers.items() if each is not None},
        "directions": cold.donor_directions(trained).numpy().T.copy(),
        "offsets": cold.shrinkage * trained.offsets.detach()[cold.donors].numpy(),
        "of_neighbours": np.array([1]),
        "num_neighbours": np.array([cold.num_neighbours]),
    }


def _check(path: Path, table: ItemTable, embeddings: NDArray[np.float32]) -> None:
    """Compares the encoder's vectors with those that torch computes, for items of the catalog.

    Torch treats the items as if they were cold. At most `MAX_CHECKED` items are compared. An item
    is left out if two donors tie for the last of its nearest donors, since either is correct.

    Raises:
        ItemEncoderError: a component of a vector differs by more than `MAX_VECTOR_ERROR`.
    """
    checked = np.arange(0, len(embeddings), len(embeddings) // MAX_CHECKED + 1)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {ENCODER_TENSORS.embeddings: embeddings[checked]}
    (vectors,) = session.run([ENCODER_TENSORS.vectors], feeds)
    assert table.embeddings is not None  # noqa: S101 - the table has an encoder
    columns = table.embeddings[checked]
    expected = table.cold_vectors(columns).detach().numpy()
    error = np.abs(vectors - expected).max(axis=1)[~_ties(table, columns)].max(initial=0)
    if not error <= MAX_VECTOR_ERROR:
        raise ItemEncoderError(
            f"item vectors differ by {error:.2g} (allowed: {MAX_VECTOR_ERROR:g}): the student "
            "was trained with other LLM embeddings than those given; distill again"
        )


def _ties(table: ItemTable, columns: Tensor) -> NDArray[np.bool_]:
    """Returns for each item whether two donors tie for the last of its nearest donors, `[items]`.

    `columns` has the principal columns of the items, `[items, columns]`.
    """
    cold = table.cold_items
    if cold.donors is None or int(cold.donors.sum()) <= NUM_NEIGHBOURS:
        return np.zeros(len(columns), dtype=np.bool_)
    nearest = cold.likeness(columns, table.all_items()).topk(NUM_NEIGHBOURS + 1).values
    return (nearest[:, -2] - nearest[:, -1] < TIE).numpy()
