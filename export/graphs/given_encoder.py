"""`GivenEncoder`: an encoder that another program has exported to ONNX, with its item vectors.

Its inputs are one or both of these:

    window    int64 `[batch, width]`, item indices, oldest first; 0 is padding, on the left
    vectors   float32 `[batch, width, hidden]`, the item vectors of the window's items; zeros where
              `window` is 0

Its only output is `query`, float32 `[batch, hidden]`. An item's score is the dot product of query
vector and item vector. `batch` is a free size. `width` is a free size or a constant; windows are
padded to a constant width. Neither padding nor the other rows of a batch change a query vector. The
query vector of a window without items is finite.

An encoder that has both inputs uses `window` only to tell padding from items, since its own tables
lack the items that the service adds. An encoder without `vectors` reads added items as padding.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import compose, helper, numpy_helper

from export.graphs.encoder import remove_stack_traces
from export.graphs.optimising import drop_unread
from export.graphs.query_encoder import QueryEncoder, usual_items
from training.data.catalog import PADDING_INDEX
from training.data.histories import pad_histories
from training.errors import TrainingError

WINDOW, VECTORS, QUERY = "window", "vectors", "query"
BATCH_SIZE = 256


class EncoderError(TrainingError):
    """An encoder that no bundle can be made from; the message names its file and the reason."""


@dataclass(frozen=True)
class GivenEncoder:
    """An encoder that another program has exported to ONNX, with its item vectors.

    Attributes:
        path: file of the encoder.
        model: content of the file, in the opset of the bundle's graphs.
        table: `[items + 1, hidden]`, the item vectors; row 0, padding, is zero.
        max_history_length: number of newest items of a history that the encoder reads.
        width: constant width of the encoder's windows; None if the width is free.
        session: onnxruntime session of the file.
    """

    path: Path
    model: onnx.ModelProto
    table: NDArray[np.float32]
    max_history_length: int
    width: int | None
    session: ort.InferenceSession

    def queries(self, histories: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Computes the query vectors of histories with the encoder's own file, `[batch, hidden]`.

        The histories are item indices, oldest first. The encoder reads them as one batch.

        Raises:
            EncoderError: onnxruntime fails, or the query vectors are not finite or have another
                shape.
        """
        length = self.width or max(1, *map(len, histories))
        window = pad_histories(histories, length)
        values = {WINDOW: window, VECTORS: self.table[window]}
        feeds = {each.name: values[each.name] for each in self.session.get_inputs()}
        try:
            (queries,) = self.session.run([QUERY], feeds)
        except Exception as error:  # onnxruntime's errors have no common class
            raise EncoderError(f"{self.path}: windows {window.shape}: {error}") from error
        shape = (len(window), self.table.shape[1])
        if queries.shape != shape or not np.isfinite(queries).all():
            state = "finite" if np.isfinite(queries).all() else "not finite"
            raise EncoderError(
                f"{self.path}: {QUERY} for windows {window.shape} is {state}, {queries.shape}; "
                f"must be finite, {shape}"
            )
        result: NDArray[np.float32] = queries
        return result

    def scores(self, history: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores all items after one history, `[items + 1]`; padding gets -inf.

        `history`: item indices, oldest first.

        Raises:
            EncoderError: onnxruntime fails, or the query vector is not finite or has another shape.
        """
        scores: NDArray[np.float32] = self.table @ self.queries([history])[0]
        scores[PADDING_INDEX] = -np.inf
        return scores

    def for_graphs(self) -> QueryEncoder:
        """Returns the encoder in the form that the bundle's graphs are written from.

        Runs the encoder on histories of one item each, for the typical query vectors.

        Raises:
            EncoderError: onnxruntime fails, or a query vector is not finite or has another shape.
        """
        items = usual_items(np.arange(1, len(self.table)), len(self.table))
        parts = np.array_split(items, -(-len(items) // BATCH_SIZE))
        queries = [self.queries(list(part[:, None])) for part in parts]
        return QueryEncoder(
            table=self.table,
            max_history_length=self.max_history_length,
            unpadded=partial(self._graph, "plain."),
            padded=partial(self._graph, "any."),
            usual_queries=np.concatenate(queries),
        )

    def _graph(self, prefix: str) -> onnx.GraphProto:
        graph = compose.add_prefix_graph(
            self.model.graph, prefix, rename_inputs=False, rename_outputs=False
        )
        remove_stack_traces(graph)
        names = {each.name for each in self.session.get_inputs()}
        if VECTORS not in names:
            _read_added_as_padding(graph, len(self.table) - 1, prefix)
        if self.width is not None:
            for name in sorted(names):
                _pad(graph, name, self.width, prefix)
        drop_unread(graph)
        return graph


def _read_added_as_padding(graph: onnx.GraphProto, num_items: int, prefix: str) -> None:
    """Changes an encoder's `graph`: it reads item indices above `num_items` as padding.

    These are added items. The names of the new values start with `prefix`.
    """
    last, padding, is_added = (f"{prefix}given_{each}" for each in ("last", "padding", "is_added"))
    _insert_before(
        graph,
        WINDOW,
        f"{prefix}given_known",
        [
            helper.make_node("Greater", [WINDOW, last], [is_added]),
            helper.make_node("Where", [is_added, padding, WINDOW], [f"{prefix}given_known"]),
        ],
    )
    _add_numbers(graph, {last: num_items, padding: PADDING_INDEX})


def _pad(graph: onnx.GraphProto, name: str, width: int, prefix: str) -> None:
    """Changes `graph`: adds nodes that pad the input `name` on the left to the constant `width`.

    The names of the new values start with `prefix`.
    """
    inner = f"{prefix}given_{name}_"
    full, axis, size, missing, after, pads = (
        f"{inner}{each}" for each in ("full", "axis", "size", "missing", "after", "pads")
    )
    _insert_before(
        graph,
        name,
        f"{inner}padded",
        [
            helper.make_node("Shape", [name], [size], start=1, end=2),
            helper.make_node("Sub", [full, size], [missing]),
            helper.make_node("Concat", [missing, after], [pads], axis=0),
            helper.make_node("Pad", [name, pads, "", axis], [f"{inner}padded"]),
        ],
    )
    _add_numbers(graph, {full: width, axis: 1, after: 0}, shape=(1,))


def _insert_before(
    graph: onnx.GraphProto, name: str, changed: str, inserted: list[onnx.NodeProto]
) -> None:
    """Changes `graph`: puts the nodes `inserted` first, and its other nodes behind them.

    The new nodes compute the value `changed` from the input `name`. All other nodes then read
    `changed` instead of `name`.
    """
    nodes = list(graph.node)
    for node in nodes:
        node.input[:] = [changed if each == name else each for each in node.input]
    del graph.node[:]
    graph.node.extend([*inserted, *nodes])


def _add_numbers(
    graph: onnx.GraphProto, numbers: dict[str, int], shape: tuple[int, ...] = ()
) -> None:
    graph.initializer.extend(
        numpy_helper.from_array(np.full(shape, number, dtype=np.int64), name)
        for name, number in numbers.items()
    )
