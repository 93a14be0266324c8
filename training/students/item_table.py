"""The item table: the one place where items have vectors, for input and for scoring."""

import torch
from torch import Tensor, nn

from training.compute.columns import principal_columns
from training.settings.experiment import MAX_COLUMNS
from training.students.cold_items import ColdItems, TrainedItems, keep_saved_names

INITIAL_SPREAD = 0.02


class ItemTable(nn.Module):
    """Item vectors `e_i = weight * g(z_i) + b_i` (paper eq. 12-13), tied for input and scoring.

    Without LLM embeddings `z` it is an id table (`b_i` only).

    Args:
        num_rows: catalog rows, padding row 0 counted.
        hidden_size: length of an item vector.
        embeddings: `[num_rows, size]`, the LLM's `z`; row 0 is not read.
        weight: factor of the projected embedding.
        offset: whether `b_i` is learned; without it, `b_i` stays zero.
        offset_dropout: share of items that a training step sees without `b_i`, so that `g(z_i)`
            learns to score them; an untouched item has nothing else. Ignored without embeddings.
        max_columns: number of principal columns of `z` that `g` reads; they cost time in every
            step.
    """

    padding: Tensor
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
    ) -> None:
        super().__init__()
        # Beside an embedding the offset starts at zero: an untouched item is its title.
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
        self.cold_items = ColdItems(hidden_size)
        keep_saved_names(self)

    def _read_embeddings(self, embeddings: Tensor, max_columns: int) -> None:
        self.embedding_mean = embeddings.mean(dim=0)
        self.embedding_columns = principal_columns(embeddings, max_columns)
        self.embeddings = (embeddings - self.embedding_mean) @ self.embedding_columns
        self.projector = nn.Linear(self.embeddings.shape[1], self.offsets.shape[1], bias=False)
        nn.init.normal_(self.projector.weight, std=INITIAL_SPREAD)

    def forward(self) -> Tensor:
        """Returns the whole table, `[catalog rows, hidden]`, row 0 zeros."""
        items: Tensor = self.offsets
        if self.projector is not None and self.embeddings is not None:
            items = self._dropped_out(items) + self._projected(self.embeddings)
        return torch.cat([self.padding, items])

    def folded(self) -> "ItemTable":
        """An id table with the same vectors, for serving: nothing of the LLM is computed again."""
        table = self().detach()
        id_table = ItemTable(*table.shape)
        id_table.offsets.data = table[1:].clone()
        return id_table

    def columns_of(self, items: Tensor) -> Tensor:
        """Principal columns of the items that a mask `[items]` selects, `[selected, columns]`.

        Raises:
            ValueError: the table was built without embeddings.
        """
        if self.embeddings is None:
            raise ValueError("without LLM embeddings a cold item has no title to be placed by")
        return self.embeddings[items.to(self.embeddings.device)]

    @torch.no_grad()
    def place_cold_items(
        self, untouched: Tensor, donors: Tensor, offset: Tensor, projection: Tensor
    ) -> None:
        """Gives the `untouched` items, and all items to come, the vectors of `ColdItems`.

        Args:
            untouched: `[items]`, whether training never read nor predicted an item.
            donors: `[items]`; untouched ones are left out.
            offset: `[hidden]`, see `ColdItems`.
            projection: `[hidden, columns]`, see `ColdItems`.

        Raises:
            ValueError: the table was built without embeddings.
        """
        columns = self.columns_of(untouched)
        untouched = untouched.to(self.offsets.device)
        self.cold_items.place(donors.to(untouched.device) & ~untouched, offset, projection)
        self.offsets[untouched] = self.cold_vectors(columns) - self._projected(columns)

    @torch.no_grad()
    def remove_cold_items(self, offsets: Tensor) -> None:
        """Undoes `place_cold_items`; `offsets` `[items, hidden]` are those from before."""
        self.offsets.copy_(offsets)
        self.cold_items.clear()

    def cold_vectors(self, columns: Tensor) -> Tensor:
        """Vectors of items of which only the title is known, `[cold, hidden]`.

        Args:
            columns: `[cold, columns]`, the principal columns of their embeddings.
        """
        return self.cold_items.vectors(self._projected(columns), columns, self.trained_items())

    def trained_items(self) -> TrainedItems:
        """All items as donors for cold ones.

        Raises:
            ValueError: the table was built without embeddings.
        """
        if self.embeddings is None:
            raise ValueError("without LLM embeddings no item is near another")
        return TrainedItems(self.embeddings, self.offsets)

    def _projected(self, columns: Tensor) -> Tensor:
        """`weight * g(z)`, `[any, hidden]`, from principal columns `[any, columns]`."""
        if self.projector is None:
            raise ValueError("without LLM embeddings there is no projection")
        projected: Tensor = self.weight * self.projector(columns)
        return projected

    def _dropped_out(self, offsets: Tensor) -> Tensor:
        if not self.training or self.offset_dropout == 0:
            return offsets
        return offsets * (torch.rand(len(offsets), 1) >= self.offset_dropout)
