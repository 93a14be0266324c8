"""The item table: the vectors of all items, which a student both reads and scores with."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.compute.columns import principal_columns
from training.settings.experiment import MAX_COLUMNS
from training.students.cold_items import AllItems, ColdItems, keep_saved_names

INITIAL_SPREAD = 0.02  # standard deviation of weights before training


class ItemTable(nn.Module):
    """The item vectors of a student, `e_i = weight * g(z_i) + b_i` (DLLM2Rec, eq. 12-13).

    `z_i` is the LLM embedding of an item's title, `g` a learned projection, `b_i` the learned
    offset. Without LLM embeddings the vectors are the offsets. The same vectors serve as input and
    for scoring.

    Args:
        num_rows: number of catalog rows, padding row 0 counted.
        hidden_size: length of an item vector.
        embeddings: `[num_rows, size]`, the `z_i`; row 0 is ignored. None if there is no LLM.
        weight: factor of the projected embedding.
        offset: whether `b_i` is learned; without it, `b_i` stays zero.
        offset_dropout: share of items whose `b_i` a training step leaves out, so that `g(z_i)`
            learns to score items without an offset, such as cold items. Ignored without embeddings.
        max_columns: maximum number of principal columns of `z` that `g` reads; each costs time in
            every step.
        readable: `[num_rows]`, whether the student reads each item in a history; None: it reads all
            items. A student without embeddings has no trained vectors of cold items, so it does not
            read cold items.
    """

    padding: Tensor
    readable: Tensor | None
    embeddings: Tensor | None
    embedding_mean: Tensor | None
    embedding_columns: Tensor | None

    def __init__(
        self,
        num_rows: int,
        hidden_size: int,
        embeddings: Tensor | None = None,
        weight: float = 1.0,
        *,
        offset: bool = True,
        offset_dropout: float = 0.0,
        max_columns: int = MAX_COLUMNS,
        readable: Tensor | None = None,
    ) -> None:
        super().__init__()
        # With embeddings, offsets start at zero: an untrained item's vector comes from its title.
        spread = INITIAL_SPREAD if embeddings is None else 0
        initial = torch.randn(num_rows - 1, hidden_size) * spread
        self.offsets = nn.Parameter(initial, requires_grad=offset)
        self.offset_dropout = offset_dropout
        self.register_buffer("padding", torch.zeros(1, hidden_size), persistent=False)
        self.weight = weight
        self.projector: nn.Linear | None = None
        for name in ("embeddings", "embedding_mean", "embedding_columns"):
            self.register_buffer(name, None)
        if embeddings is not None:
            self._read_embeddings(embeddings[1:].float(), max_columns)
        self.register_buffer("readable", readable)
        self.register_load_state_dict_pre_hook(_create_readable)  # type: ignore[no-untyped-call]  # torch's
        self.cold_items = ColdItems(hidden_size)
        keep_saved_names(self)

    def _read_embeddings(self, embeddings: Tensor, max_columns: int) -> None:
        self.embedding_mean = embeddings.mean(dim=0)
        self.embedding_columns = principal_columns(embeddings, max_columns)
        self.embeddings = (embeddings - self.embedding_mean) @ self.embedding_columns
        self.projector = nn.Linear(self.embeddings.shape[1], self.offsets.shape[1], bias=False)
        nn.init.normal_(self.projector.weight, std=INITIAL_SPREAD)

    def forward(self) -> Tensor:
        """Returns the vectors of all items, `[catalog rows, hidden]`; row 0, padding, is zeros."""
        items: Tensor = self.offsets
        if self.projector is not None and self.embeddings is not None:
            items = self._dropped_out(items) + self._projected(self.embeddings)
        return torch.cat([self.padding, items])

    def vectors_of(self, items: Tensor, *, sparse: bool = False) -> Tensor:
        """Computes the vectors of some items, `[items, hidden]`.

        With offset dropout, an item that is given twice may get two different vectors.

        Args:
            items: `[items]`, item indices without padding.
            sparse: whether the gradient of the offsets has the rows of `items` only, instead of a
                row for every item.
        """
        vectors = functional.embedding(items - 1, self.offsets, sparse=sparse)
        if self.embeddings is None:
            return vectors
        columns = functional.embedding(items - 1, self.embeddings)  # faster than by an index
        return self._dropped_out(vectors) + self._projected(columns)

    def readable_rows(self) -> NDArray[np.bool_] | None:
        """Returns a mask of the items that the student reads, `[catalog rows]`.

        Returns None if the student reads all items.
        """
        return None if self.readable is None else self.readable.cpu().numpy()

    def read_items(self) -> NDArray[np.int64]:
        """Returns the indices of the items that the student reads in histories, ascending."""
        readable = self.readable_rows()
        return np.arange(1, len(self.offsets) + 1) if readable is None else np.flatnonzero(readable)

    def columns_of(self, items: Tensor) -> Tensor:
        """Returns the principal columns of the selected items, `[selected, columns]`.

        Args:
            items: `[items]`, mask of the selected items, without an entry for padding.

        Raises:
            ValueError: the table was built without embeddings.
        """
        if self.embeddings is None:
            raise ValueError("without LLM embeddings, cold items cannot be placed by their titles")
        return self.embeddings[items.to(self.embeddings.device)]

    @torch.no_grad()
    def place_cold_items(
        self, untouched: Tensor, donors: Tensor, offset: Tensor, projection: Tensor
    ) -> None:
        """Places cold items: gives the `untouched` items the vectors that `ColdItems` computes.

        For items that are added after training, `cold_vectors` then computes vectors in the same
        way.

        Args:
            untouched: `[items]`, whether training neither read nor predicted each item.
            donors: `[items]`, whether each item is a donor; untouched items are never donors.
            offset: `[hidden]`, the common offset of cold items.
            projection: `[hidden, columns]`, the second projection of cold items' titles.

        Raises:
            ValueError: the table was built without embeddings.
        """
        columns = self.columns_of(untouched)
        untouched = untouched.to(self.offsets.device)
        self.cold_items.place(donors.to(untouched.device) & ~untouched, offset, projection)
        self.offsets[untouched] = self.cold_vectors(columns) - self._projected(columns)

    @torch.no_grad()
    def remove_cold_items(self, offsets: Tensor) -> None:
        """Undoes `place_cold_items`: restores all offsets, and clears `cold_items`.

        Args:
            offsets: `[items, hidden]`, the table's offsets before `place_cold_items`.
        """
        self.offsets.copy_(offsets)
        self.cold_items.clear()

    def cold_vectors(self, columns: Tensor) -> Tensor:
        """Computes the vectors of cold items from their titles, `[cold, hidden]`.

        Args:
            columns: `[cold, columns]`, the principal columns of the items' title embeddings.

        Raises:
            ValueError: the table was built without embeddings.
        """
        return self.cold_items.vectors(self._projected(columns), columns, self.all_items())

    def all_items(self) -> AllItems:
        """Returns the principal columns and the offsets of all items, padding left out.

        Raises:
            ValueError: the table was built without embeddings.
        """
        if self.embeddings is None:
            raise ValueError("without LLM embeddings, items have no nearest titles")
        return AllItems(self.embeddings, self.offsets)

    def _projected(self, columns: Tensor) -> Tensor:
        """Projects principal columns `[items, columns]` to `weight * g(z)`, `[items, hidden]`.

        Raises:
            ValueError: the table was built without embeddings.
        """
        if self.projector is None:
            raise ValueError("without LLM embeddings there is no projection")
        projected: Tensor = self.weight * self.projector(columns)
        return projected

    def _dropped_out(self, offsets: Tensor) -> Tensor:
        if not self.training or self.offset_dropout == 0:
            return offsets
        return offsets * (torch.rand(len(offsets), 1) >= self.offset_dropout)


def _create_readable(table: ItemTable, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Creates the buffer `readable` of `table`; torch calls it before it loads `state`.

    torch loads values into existing buffers only. If `state` lacks the buffer, it becomes None.
    Names in `state` begin with `prefix`.
    """
    saved = state.get(f"{prefix}readable")
    device = table.get_buffer("padding").device
    readable = None if saved is None else torch.zeros_like(saved, device=device)
    table.register_buffer("readable", readable)
