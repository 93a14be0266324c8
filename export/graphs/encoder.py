"""The encoder as ONNX: a student's last query, exported by torch and made faster."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from onnx import compose
from torch import Tensor, nn

from export.graphs.fusion import fuse_attention, soften_masks
from training.students.student import Student

OPSET = 23
STUDENT = "student"  # the domain of the node that an encoder replaces


class _Encoder(nn.Module):
    """A student's last query, as the module that torch's exporter wants."""

    def __init__(self, student: Student, *, padded: bool) -> None:
        super().__init__()
        self.student = student
        self.encode = student.encode_newest if padded else student.encode_unpadded

    def forward(self, window: Tensor, table: Tensor) -> Tensor:
        """Maps `[batch, width]` and `[items + 1, hidden]` to `[batch, hidden]`."""
        return self.encode(window, table)


def unpadded_encoder(student: Student, table: Tensor) -> onnx.GraphProto:
    """The graph from `window` `[batch, width]` without padding to `query` `[batch, hidden]`.

    It reads its items' `vectors`. Its inner names start with "plain.", so that it can be inlined
    into one graph with `padded_encoder`.
    """
    takes_guard_less = type(student).encode_unpadded is not Student.encode_unpadded
    return _lean(_exported(student, table, padded=not takes_guard_less), "plain.")


def padded_encoder(student: Student, table: Tensor) -> onnx.GraphProto:
    """The graph from any `window` to `query`; its inner names start with "any."."""
    return _lean(_exported(student, table, padded=True), "any.")


def inline(encoder: onnx.GraphProto, graph: onnx.GraphProto) -> None:
    """Replaces the student's node in `graph` by `encoder`.

    Its constants become constants of `graph`, where a branch of an `If` costs nothing more to run.
    """
    nodes = list(graph.node)
    (student,) = [node for node in nodes if node.domain == STUDENT]
    # The encoder of unpadded windows has looked its vectors up already, and takes none.
    names = dict(zip(("window", "vectors"), student.input, strict=False))
    names["query"] = student.output[0]
    for node in encoder.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    place = nodes.index(student)
    del graph.node[:]
    graph.node.extend([*nodes[:place], *encoder.node, *nodes[place + 1 :]])
    graph.initializer.extend(encoder.initializer)


def _lean(exported: onnx.GraphProto, prefix: str) -> onnx.GraphProto:
    graph = compose.add_prefix_graph(exported, prefix, rename_inputs=False, rename_outputs=False)
    _remove_stack_traces(graph)
    _take_vectors(graph)
    fuse_attention(graph)
    soften_masks(graph)
    return graph


def _exported(student: Student, table: Tensor, *, padded: bool) -> onnx.GraphProto:
    longest = student.max_history_length
    # torch.export treats a size of 1 as a constant, so the example must not have one.
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


def _remove_stack_traces(encoder: onnx.GraphProto) -> None:
    """Removes what the exporter notes of itself: stack traces, with paths of this machine."""
    for node in encoder.node:
        del node.metadata_props[:]
        node.doc_string = ""


def _take_vectors(encoder: onnx.GraphProto) -> None:
    """Makes the encoder take its items' vectors as an input, in place of its lookup in the table.

    Raises:
        ValueError: the student reads the table in another way.
    """
    (lookup,) = [node for node in encoder.node if "table" in node.input]
    if lookup.op_type != "Gather" or lookup.input[0] != "table":
        raise ValueError(f"{lookup.op_type} of the item table: a student may only look up items")
    for node in encoder.node:
        node.input[:] = ["vectors" if each == lookup.output[0] else each for each in node.input]
    encoder.node.remove(lookup)


@contextmanager
def _without_exporter_chatter() -> Iterator[None]:
    """Hides messages of torch's exporter about itself: deprecated calls, absent torchvision."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg|torch")
            yield
    finally:
        logger.setLevel(level)
