"""`QueryEncoder`: a sequential model in the form that a bundle's graphs are written from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.graphs.blocks.constants import Blocks
from export.graphs.encoder import padded_encoder, unpadded_encoder
from export.graphs.pairs import PairTable
from export.graphs.proven.search import Constants, search_constants
from training.students.student import Student

NUM_USUAL_QUERIES = 4_096  # minimum number of query vectors for a stable mean


@dataclass(frozen=True)
class QueryEncoder:
    """A sequential model: its item vectors, its window, and its encoder as two ONNX graphs.

    The inputs of both graphs are among `window`, `[batch, width]`, and `vectors`, the item vectors
    of the window's items, `[batch, width, hidden]`. Their output is `query`, `[batch, hidden]`.

    Attributes:
        table: `[items + 1, hidden]`, the item vectors; row 0 is padding.
        max_history_length: maximum number of newest items that the model reads.
        unpadded: function that returns a new graph, the encoder of windows without padding.
        padded: function that returns a new graph, the encoder of windows with or without padding on
            the left. The names of its inner values differ from those of `unpadded`.
        usual_queries: `[queries, hidden]`, typical query vectors.
        pairs: the model's pair bonus; None if it has none.
    """

    table: NDArray[np.float32]
    max_history_length: int
    unpadded: Callable[[], onnx.GraphProto]
    padded: Callable[[], onnx.GraphProto]
    usual_queries: NDArray[np.float32]
    pairs: PairTable | None = None

    @property
    def usual_query(self) -> NDArray[np.float32]:
        """Average query vector, `[hidden]`."""
        mean: NDArray[np.float32] = self.usual_queries.mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)

    def with_queries(self, queries: NDArray[np.float32]) -> "QueryEncoder":
        """Returns this model with `queries`, `[queries, hidden]`, among the typical ones.

        They count about as much as those that were there.
        """
        times = max(1, len(self.usual_queries) // len(queries))
        all_queries = np.concatenate([self.usual_queries, np.repeat(queries, times, axis=0)])
        return replace(self, usual_queries=all_queries)

    @cached_property
    def blocks(self) -> Callable[[int], Blocks]:
        """Function of a size that puts the items into blocks of it, once for each size."""
        return cache(partial(Blocks.of, self.table, self.usual_queries))

    @property
    def search_constants(self) -> Constants:
        """The constants of a search with proof, by name, but for the item table."""
        return search_constants(self.table, self.usual_query, self.pairs, self.max_history_length)

    @property
    def num_items(self) -> int:
        """Number of items in the table, without padding."""
        return len(self.table) - 1


def encoder_of(student: Student, table: Tensor | None = None) -> QueryEncoder:
    """Returns `student` as a `QueryEncoder`, whose graphs torch exports when they are asked for.

    Switches `student` to `eval()`.

    `table`: the student's item vectors, `[items + 1, hidden]`, where the caller has them, such as
    mapped from a file; None: they are computed.
    """
    table = student.eval().item_table().detach() if table is None else table
    return QueryEncoder(
        table=table.numpy(),
        max_history_length=student.max_history_length,
        unpadded=_made_once(lambda: unpadded_encoder(student, table)),
        padded=_made_once(lambda: padded_encoder(student, table)),
        usual_queries=_usual_queries(student, table).numpy(),
        pairs=PairTable.of(student.pair_bonus),
    )


def _made_once(make: Callable[[], onnx.GraphProto]) -> Callable[[], onnx.GraphProto]:
    """Returns a function that calls `make` only once, and returns a new copy of its graph."""
    made = cache(make)

    def copy() -> onnx.GraphProto:
        graph = onnx.GraphProto()
        graph.CopyFrom(made())
        return graph

    return copy


def usual_items(items: NDArray[np.int64], num_rows: int) -> NDArray[np.int64]:
    """Chooses the items whose one-item histories give the typical query vectors: every n-th.

    n is `num_rows` divided by `NUM_USUAL_QUERIES`, rounded down, and at least 1.

    Args:
        items: item indices that the model reads, ascending.
        num_rows: number of rows of the item table.
    """
    return items[:: max(1, num_rows // NUM_USUAL_QUERIES)]


@torch.no_grad()
def _usual_queries(student: Student, table: Tensor) -> Tensor:
    items = torch.from_numpy(usual_items(student.item_table.read_items(), len(table)))
    return student.encode_newest(items[:, None], table)
