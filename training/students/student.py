"""The one interface of the students, and the item table that all of them score with."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.settings.experiment import MAX_COLUMNS

INITIAL_SPREAD = 0.02
MIN_SPREAD = 1e-6  # of a column that varies
ROWS_AT_ONCE = 1_024  # of comparing all items with all
NUM_NEIGHBOURS = 5  # whose offsets stand for that of an item without one
SHRINKAGE = 0.8  # of such a guess: it is less sure than what was learned, and so claims less


class ItemTable(nn.Module):
    """Item vectors `e_i = weight * g(z_i) + b_i` (paper eq. 12-13), tied for input and scoring.

    Without LLM embeddings it is a plain id table (`b_i` alone).

    Args:
        num_rows: catalog rows, padding row 0 counted.
        hidden_size: length of an item vector.
        embeddings: `[num_rows, size]`, the LLM's `z`; row 0 is not read.
        max_columns: how many principal columns of `z` `g` reads; they cost time in every step.
        weight: how strongly the projected embedding enters.
        offset: whether `b_i` is learned; without it, `b_i` stays zero.
        offset_dropout: share of items that a training step sees without `b_i`, so that `g(z_i)`
            alone is worth a score: all that an untouched item has. Ids alone are never dropped.
    """

    padding: Tensor
    cold_offset: Tensor
    cold_projection: Tensor | None
    lenders: Tensor | None
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
        # Beside an embedding the offset starts at nothing: an untouched item is its title.
        spread = INITIAL_SPREAD if embeddings is None else 0
        initial = torch.randn(num_rows - 1, hidden_size) * spread
        self.offsets = nn.Parameter(initial, requires_grad=offset)
        self.offset_dropout = offset_dropout
        self.register_buffer("padding", torch.zeros(1, hidden_size), persistent=False)
        self.register_buffer("cold_offset", torch.zeros(hidden_size))
        self.weight = weight
        self.projector: nn.Linear | None = None
        for name in ("cold_projection", "lenders"):  # none before cold items are placed
            self.register_buffer(name, None)
        for name in ("embeddings", "embedding_mean", "embedding_columns"):
            self.register_buffer(name, None)
        if embeddings is not None:
            real = embeddings[1:].float()
            self.embedding_mean = real.mean(dim=0)
            self.embedding_columns = principal_columns(real, max_columns)
            self.embeddings = (real - self.embedding_mean) @ self.embedding_columns
            self.projector = nn.Linear(self.embeddings.shape[1], hidden_size, bias=False)
            nn.init.normal_(self.projector.weight, std=INITIAL_SPREAD)

    def forward(self) -> Tensor:
        """Returns the whole table, `[catalog rows, hidden]`, row 0 zeros."""
        items: Tensor = self.offsets
        if self.projector is not None and self.embeddings is not None:
            items = self._kept(items) + self._projected(self.embeddings)
        return torch.cat([self.padding, items])

    def _projected(self, columns: Tensor) -> Tensor:
        """`weight * g(z)`, `[any, hidden]`, of what `g` reads of `z`."""
        if self.projector is None:
            raise ValueError("without LLM embeddings nothing is projected")
        projected: Tensor = self.weight * self.projector(columns)
        return projected

    def _kept(self, offsets: Tensor) -> Tensor:
        if not self.training or self.offset_dropout == 0:
            return offsets
        return offsets * (torch.rand(len(offsets), 1) >= self.offset_dropout)

    def columns_of(self, items: Tensor) -> Tensor:
        """What `g` reads of those `items` `[items]` that are true, `[true, columns]`.

        Raises:
            ValueError: there are no embeddings, so that no title says anything.
        """
        if self.embeddings is None:
            raise ValueError("without LLM embeddings a cold item is like no other")
        return self.embeddings[items.to(self.embeddings.device)]

    @torch.no_grad()
    def place_cold_items(
        self, untouched: Tensor, lenders: Tensor, offset: Tensor, projection: Tensor
    ) -> None:
        """Gives items that are `untouched` `[items]`, and all to come, what they can know.

        See `cold_vectors`, with `lenders` `[items]`, `offset` `[hidden]` and `projection`
        `[hidden, columns]`.

        Raises:
            ValueError: there are no embeddings, so that no title is next to another.
        """
        columns = self.columns_of(untouched)
        untouched = untouched.to(self.offsets.device)
        self.lenders = lenders.to(self.offsets.device) & ~untouched
        self.cold_offset.copy_(offset)
        self.cold_projection = projection.to(self.offsets.device)
        self.offsets[untouched] = self.cold_vectors(columns) - self._projected(columns)

    @torch.no_grad()
    def forget_cold_items(self, offsets: Tensor) -> None:
        """Undoes `place_cold_items`; `offsets` `[items, hidden]` are those from before."""
        self.offsets.copy_(offsets)
        self.cold_offset.zero_()
        self.cold_projection = self.lenders = None

    def cold_vectors(self, columns: Tensor) -> Tensor:
        """The vectors of items of which no more is known than a title.

        What the title says and the offsets of the lenders whose titles are next to it, both
        shrunk, what a title says of cold items alone, and what all of them share; where none were
        placed, what the title says.

        Args:
            columns: `[any, columns]`, what `g` reads of the items.

        Returns:
            `[any, hidden]`.
        """
        guess = self._projected(columns) + self.neighbour_offsets(columns)
        vectors = self.shrinkage * guess + self.cold_offset
        return (
            vectors if self.cold_projection is None else vectors + columns @ self.cold_projection.T
        )

    @property
    def shrinkage(self) -> float:
        """What is left of a guess about a cold item; all of it where none were placed."""
        return 1.0 if self.lenders is None else SHRINKAGE

    def neighbour_offsets(self, columns: Tensor) -> Tensor:
        """The mean offset of the `NUM_NEIGHBOURS` lenders that each item is most like.

        Args:
            columns: `[any, columns]`, what `g` reads of the items; alike is the cosine between two.

        Returns:
            `[any, hidden]`; zeros where no cold items were placed.
        """
        if self.lenders is None or not self.lenders.any():
            return self.offsets.new_zeros(len(columns), self.offsets.shape[1])
        offsets = self.offsets[self.lenders]
        number = min(NUM_NEIGHBOURS, len(offsets))
        parts = [
            self.likeness(each).topk(number).indices for each in torch.split(columns, ROWS_AT_ONCE)
        ]
        return torch.cat([offsets[nearest].mean(dim=1) for nearest in parts])

    def likeness(self, columns: Tensor) -> Tensor:
        """The cosine between items, `[any, columns]`, and all lenders, `[any, lenders]`."""
        if self.lenders is None or self.embeddings is None:
            raise ValueError("cold items were not placed: no item lends its offset")
        return functional.normalize(columns) @ functional.normalize(self.embeddings[self.lenders]).T

    def folded(self) -> "ItemTable":
        """A plain id table with the same vectors: what a student serves after training."""
        table = self().detach()
        plain = ItemTable(*table.shape)
        plain.offsets.data = table[1:].clone()
        return plain


def standardised(embeddings: Tensor) -> Tensor:
    """Shifts and scales each column of `[items, size]` to mean 0 and deviation 1."""
    deviation, mean = torch.std_mean(embeddings.float(), dim=0, correction=0)
    return (embeddings - mean) / deviation.clamp(min=MIN_SPREAD)


def principal_columns(embeddings: Tensor, max_columns: int) -> Tensor:
    """What turns centred embeddings into what `g` reads, `[size, at most max_columns]`.

    Each column is standardised, then those combinations are kept that vary most. Items get unit
    length on average, so that a step moves `g(z)` no faster than it moves `b`.
    """
    size = embeddings.shape[1]
    spread = embeddings.std(dim=0, correction=0)[:, None]
    scale: Tensor = (spread > MIN_SPREAD) / spread.clamp(min=MIN_SPREAD) / size**0.5
    if size <= max_columns:
        return torch.diag(scale[:, 0])
    columns = standardised(embeddings).double()
    _, directions = torch.linalg.eigh(columns.T @ columns)  # ascending
    kept = directions.flip(-1)[:, :max_columns]
    largest = kept.gather(0, kept.abs().argmax(dim=0, keepdim=True))
    of_one_sign: Tensor = (kept * largest.sign()).float()  # the same on any machine
    return scale * of_one_sign


class Student(nn.Module):
    """A sequential model that turns a history into a query vector.

    `item_table` is the only place where items have vectors; `score = query @ item_table().T`.
    """

    item_table: ItemTable
    max_history_length: int

    def encode(self, histories: Tensor, table: Tensor) -> Tensor:
        """Maps `[batch, length]` left-padded item indices to queries `[batch, length, hidden]`.

        The query at position `p` has read items `0..p` and predicts item `p + 1`. `length` may be
        anything up to `max_history_length`; padding in front changes nothing.
        """
        raise NotImplementedError

    def encode_newest(self, histories: Tensor, table: Tensor) -> Tensor:
        """The last query alone, `[batch, hidden]`; a student may have a shorter way to it."""
        return self.encode(histories, table)[:, -1]

    def encode_plain(self, histories: Tensor, table: Tensor) -> Tensor:
        """The last query alone of histories without padding; it may take a guard less."""
        return self.encode_newest(histories, table)

    def score(self, histories: Tensor) -> Tensor:
        """Scores of the item after each history, `[batch, catalog rows]`, padding -inf."""
        table: Tensor = self.item_table()
        scores = self.encode_newest(histories, table) @ table.T
        scores[:, 0] = -torch.inf
        return scores
