"""Cold items: the vector of an item that training never touched.

Such an item has a title and no trained offset. Until cold items are placed, its vector is what the
title says. Once they are (`training/distillation/cold_start.py` fits what is placed), it is

    shrinkage * (title + mean offset of its nearest donors) + projection @ columns + offset

where donors are trained items, near means a large cosine between columns, and `projection` and
`offset` apply to cold items only. docs/method.md, "cold items", has the reasons.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_NEIGHBOURS = 5  # donors whose mean offset replaces the missing one
SHRINKAGE = 0.8  # of that estimate: it is less certain than a trained vector, so it claims less
ROWS_AT_ONCE = 1_024  # cold items that are compared with all donors at a time

PLACE = "cold_items."  # where an item table holds its `ColdItems`
# Checkpoints have these names, from when the table itself held the tensors.
SAVED_NAMES = {"offset": "cold_offset", "projection": "cold_projection", "donors": "lenders"}


class TrainedItems(NamedTuple):
    """All items of a table, from which cold items take their donors.

    Attributes:
        columns: `[items, columns]`, the principal columns of their embeddings.
        offsets: `[items, hidden]`, their trained offsets.
    """

    columns: Tensor
    offsets: Tensor


class ColdItems(nn.Module):
    """State and arithmetic of placed cold items; an item table holds one.

    Attributes:
        offset: `[hidden]`, common to all cold items; zeros before they are placed.
        projection: `[hidden, columns]`, from principal columns to what a title says of cold items
            only; None before they are placed.
        donors: `[items]`, whether a trained item may give its offset; None before.
    """

    offset: Tensor
    projection: Tensor | None
    donors: Tensor | None

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(hidden_size))
        self.register_buffer("projection", None)
        self.register_buffer("donors", None)
        self.register_load_state_dict_pre_hook(_make_room)  # type: ignore[no-untyped-call]  # torch's

    @property
    def are_placed(self) -> bool:
        """Whether cold items have more than their title."""
        return self.donors is not None

    @property
    def shrinkage(self) -> float:
        """Factor of the estimate from title and donors; 1 before cold items are placed."""
        return SHRINKAGE if self.are_placed else 1.0

    @property
    def num_neighbours(self) -> int:
        """Number of donors that a cold item takes the mean of."""
        return 0 if self.donors is None else min(NUM_NEIGHBOURS, int(self.donors.sum()))

    @torch.no_grad()
    def place(self, donors: Tensor, offset: Tensor, projection: Tensor) -> None:
        """Sets the attributes of the same names."""
        device = self.offset.device
        self.donors = donors.to(device)
        self.offset.copy_(offset)
        self.projection = projection.to(device)

    def clear(self) -> None:
        """Undoes `place`."""
        self.offset.zero_()
        self.projection = self.donors = None

    def vectors(self, titles: Tensor, columns: Tensor, trained: TrainedItems) -> Tensor:
        """Vectors of cold items, `[cold, hidden]`.

        Args:
            titles: `[cold, hidden]`, `weight * g(z)` of each.
            columns: `[cold, columns]`, the principal columns of their embeddings.
            trained: all items of the table.
        """
        estimate = titles + self.neighbour_offsets(columns, trained)
        vectors = self.shrinkage * estimate + self.offset
        return vectors if self.projection is None else vectors + columns @ self.projection.T

    def neighbour_offsets(self, columns: Tensor, trained: TrainedItems) -> Tensor:
        """Mean offset of each cold item's nearest donors, `[cold, hidden]`; zeros without donors.

        Args:
            columns: `[cold, columns]`.
            trained: all items of the table.
        """
        if self.donors is None or not self.num_neighbours:
            return self.offset.new_zeros(len(columns), len(self.offset))
        offsets = trained.offsets[self.donors]
        parts = [
            self.likeness(part, trained).topk(self.num_neighbours).indices
            for part in torch.split(columns, ROWS_AT_ONCE)
        ]
        return torch.cat([offsets[nearest].mean(dim=1) for nearest in parts])

    def likeness(self, columns: Tensor, trained: TrainedItems) -> Tensor:
        """Cosines between cold items `[cold, columns]` and all donors, `[cold, donors]`."""
        return functional.normalize(columns) @ self.donor_directions(trained).T

    def donor_directions(self, trained: TrainedItems) -> Tensor:
        """Columns of all donors at unit length, `[donors, columns]`.

        Raises:
            ValueError: cold items are not placed.
        """
        if self.donors is None:
            raise ValueError("cold items are not placed: call ItemTable.place_cold_items first")
        return functional.normalize(trained.columns[self.donors])


def keep_saved_names(item_table: nn.Module) -> None:
    """Makes `item_table` save and load its `cold_items` under the names in `SAVED_NAMES`."""
    item_table.register_state_dict_post_hook(_to_saved_names)  # type: ignore[no-untyped-call]  # torch's
    item_table.register_load_state_dict_pre_hook(_from_saved_names)  # type: ignore[no-untyped-call]  # torch's


def _to_saved_names(_: nn.Module, state: dict[str, Any], prefix: str, __: object) -> None:
    for name, saved in SAVED_NAMES.items():
        if (ours := f"{prefix}{PLACE}{name}") in state:
            state[f"{prefix}{saved}"] = state.pop(ours)


def _from_saved_names(_: nn.Module, state: dict[str, Any], prefix: str, *__: object) -> None:
    for name, saved in SAVED_NAMES.items():
        if (theirs := f"{prefix}{saved}") in state:
            state[f"{prefix}{PLACE}{name}"] = state.pop(theirs)


def _make_room(cold_items: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Gives the optional buffers the shapes that `state` has, since torch only fills buffers."""
    for name in ("projection", "donors"):
        saved = state.get(f"{prefix}{name}")
        device = cold_items.get_buffer("offset").device
        setattr(cold_items, name, None if saved is None else torch.zeros_like(saved, device=device))
