"""Computes the best items after histories in NumPy, for catalogs too large for an exact graph."""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export.graphs.codes import Table, parts_of
from export.graphs.encoder import OPSET
from export.graphs.query_encoder import QueryEncoder
from training.data.catalog import PADDING_INDEX

Lists = Sequence[NDArray[np.int64]]


def queries_after(encoder: QueryEncoder, histories: Lists) -> NDArray[np.float32]:
    """Returns the query vector after each history, `[histories, hidden]`.

    `histories`: item indices, oldest first, none empty.
    """
    graph, hidden_size = encoder.unpadded(), encoder.table.shape[1]
    read = {name for node in graph.node for name in node.input}
    inputs = {
        "window": helper.make_tensor_value_info("window", TensorProto.INT64, [1, "width"]),
        "vectors": helper.make_tensor_value_info(
            "vectors", TensorProto.FLOAT, [1, "width", hidden_size]
        ),
    }
    names = read & inputs.keys()
    del graph.input[:]
    graph.input.extend(inputs[name] for name in sorted(names))
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    queries = []
    for history in histories:
        window = history[None, -encoder.max_history_length :].astype(np.int64)
        feeds = {"window": window, "vectors": encoder.table[window]}
        (query,) = session.run(["query"], {name: feeds[name] for name in names})
        queries.append(query)
    return np.concatenate(queries)


def best_items(
    table: Table,
    queries: NDArray[np.float32],
    seen: Lists,
    k: int,
    allowed: NDArray[np.bool_] | None = None,
) -> list[NDArray[np.int64]]:
    """Returns the `k` best items for each query, best first; reads the table in parts.

    Args:
        table: `[rows, hidden]`, the item vectors.
        queries: `[queries, hidden]`, the query vectors.
        seen: for each query, the items to leave out.
        k: number of items; fewer are returned where fewer are left.
        allowed: `[rows]`, which items may be returned; None: all.
    """
    items = [np.zeros(0, np.int64)] * len(queries)
    scores = [np.zeros(0, np.float32)] * len(queries)
    for part in parts_of(len(table)):
        found = queries @ table[part].T
        if allowed is not None:
            found[:, ~allowed[part]] = -np.inf
        for line, of_line in enumerate(found):
            closed = np.append(seen[line], PADDING_INDEX) - part.start
            of_line[closed[(closed >= 0) & (closed < len(of_line))]] = -np.inf
            least = scores[line][-1] if len(scores[line]) == k else -np.inf
            rows = np.flatnonzero(of_line > least)
            both = np.append(scores[line], of_line[rows])
            best = np.argsort(-both, kind="stable")[:k]
            scores[line] = both[best]
            items[line] = np.append(items[line], rows + part.start)[best]
    return items
