"""Exports a student's encoder to ONNX with torch, and optimises it.

The encoder is the part of a student that computes the query vector of a window.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from onnx import compose
from torch import Tensor, nn

from export.graphs.optimising import fuse_attention, soften_masks
from training.students.student import Student

OPSET = 23
STUDENT = "student"  # ONNX domain of the placeholder node that an encoder replaces


class _Encoder(nn.Module):
    """Module whose `forward` encodes windows with a student, since torch exports only `forward`."""

    def __init__(self, student: Student, *, padded: bool) -> None:
        super().__init__()
        self.student = student
        self.encode = student.encode_newest if padded else student.encode_unpadded

    def forward(self, window: Tensor, table: Tensor) -> Tensor:
        """Computes the query vectors of windows, `[batch, hidden]`.

        Args:
            window: `[batch, width]`, item indices, oldest first.
            table: `[items + 1, hidden]`, the item table.
        """
        return self.encode(window, table)


def unpadded_encoder(student: Student, table: Tensor) -> onnx.GraphProto:
    """Exports the encoder of windows without padding, as an ONNX graph.

    Its inputs are `window`, `[batch, width]`, and `vectors`, the item vectors of the window's
    items, `[batch, width, hidden]`. Its output is `query`, `[batch, hidden]`. The names of its
    inner values start with "plain.", so that one graph can contain both this encoder and the
    `padded_encoder`.

    `table`: `[items + 1, hidden]`, the student's item table, an example input for the export.
    """
    has_unpadded_form = type(student).encode_unpadded is not Student.encode_unpadded
    return _optimised(_exported(student, table, padded=not has_unpadded_form), "plain.")


def padded_encoder(student: Student, table: Tensor) -> onnx.GraphProto:
    """Exports the encoder of windows with or without padding, as an ONNX graph.

    Its inputs are `window`, `[batch, width]`, and `vectors`, `[batch, width, hidden]`. Its output
    is `query`, `[batch, hidden]`. The names of its inner values start with "any.".

    `table`: `[items + 1, hidden]`, the student's item table, an example input for the export.
    """
    return _optimised(_exported(student, table, padded=True), "any.")


def inline(encoder: onnx.GraphProto, graph: onnx.GraphProto) -> None:
    """Changes `graph`: replaces its placeholder node with the nodes of `encoder`.

    The placeholder is the node whose ONNX domain is `STUDENT`. The constants of the encoder become
    initializers of `graph`. `encoder` is changed too, and cannot be used again.
    """
    nodes = list(graph.node)
    (student,) = [node for node in nodes if node.domain == STUDENT]
    # An unpadded encoder contains its lookups and has only the input `window`.
    names = dict(zip(("window", "vectors"), student.input, strict=False))
    names["query"] = student.output[0]
    for node in encoder.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    place = nodes.index(student)
    del graph.node[:]
    graph.node.extend([*nodes[:place], *encoder.node, *nodes[place + 1 :]])
    graph.initializer.extend(encoder.initializer)


def _optimised(exported: onnx.GraphProto, prefix: str) -> onnx.GraphProto:
    graph = compose.add_prefix_graph(exported, prefix, rename_inputs=False, rename_outputs=False)
    remove_stack_traces(graph)
    _take_vectors(graph)
    fuse_attention(graph)
    soften_masks(graph)
    return graph


def _exported(student: Student, table: Tensor, *, padded: bool) -> onnx.GraphProto:
    longest = student.max_history_length
    # torch.export treats a size of 1 as a constant, so no size of the example input may be 1.
    example = torch.ones(2, min(2, longest), dtype=torch.int64)
    sizes = {0: torch.export.Dim("batch")}
    if longest > 1:
        sizes[1] = torch.export.Dim("width", min=1, max=longest)
    with torch.no_grad(), _without_exporter_chatter():
        program = torch.onnx.export(
            _Encoder(student, padded=padded).eval(),
            (example, table),
            dynamo=True,
            opset_version=OPSET,
            input_names=["window", "table"],
            output_names=["query"],
            dynamic_shapes=(sizes, None),
            verbose=False,
        )
    assert program is not None  # noqa: S101 - only the older exporter returns None
    graph: onnx.GraphProto = program.model_proto.graph
    return graph


def remove_stack_traces(encoder: onnx.GraphProto) -> None:
    """Deletes the stack traces that torch's exporter has stored in the nodes of `encoder`.

    They contain paths of the machine that ran the export.
    """
    for node in encoder.node:
        del node.metadata_props[:]
        node.doc_string = ""


def _take_vectors(encoder: onnx.GraphProto) -> None:
    """Changes the graph `encoder`: deletes its lookup of item vectors in `table`.

    The nodes that read the result then read the name `vectors`, an input of the encoder.

    Raises:
        ValueError: the encoder uses the item table for anything but one lookup of items.
    """
    (lookup,) = [node for node in encoder.node if "table" in node.input]
    if lookup.op_type != "Gather" or lookup.input[0] != "table":
        raise ValueError(
            f"the student applies {lookup.op_type} to the item table: it may only look up items "
            "(Gather)"
        )
    for node in encoder.node:
        node.input[:] = ["vectors" if each == lookup.output[0] else each for each in node.input]
    encoder.node.remove(lookup)


@contextmanager
def _without_exporter_chatter() -> Iterator[None]:
    """Context manager that hides the warnings of torch's exporter that no user can act on.

    They are about deprecated calls in the exporter and about a missing torchvision.
    """
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg|torch")
            yield
    finally:
        logger.setLevel(level)
