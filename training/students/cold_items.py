"""Computes vectors of cold items, from their titles and from trained items with similar titles.

A cold item has a title and no trained offset. During training its vector is the projection of its
title. After training, cold items are placed: `cold_start.py` in
`training/distillation/after_training` fits `offset` and `projection`, and the vector of a cold item
becomes

    shrinkage * (title + mean offset of its nearest donors) + projection @ columns + offset

Here `title` is the projected title embedding and `columns` are the principal columns of that
embedding. The nearest donors are the donors whose columns have the largest cosine with `columns`.
`projection` and `offset` apply to cold items only. docs/method.md, "cold items", gives the reasons.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_NEIGHBOURS = 5  # number of donors whose mean offset replaces the missing one
# Factor of title plus mean offset. This estimate is less certain than a trained vector, so it is
# shortened.
SHRINKAGE = 0.8
ROWS_AT_ONCE = 1_024  # number of cold items that are compared with all donors at a time

STATE_PREFIX = "cold_items."  # prefix of `ColdItems` in the state dict of an item table
# Names in checkpoints by attribute of `ColdItems`. The first checkpoints were written when the item
# table itself held these tensors, so the names stay.
SAVED_NAMES = {"offset": "cold_offset", "projection": "cold_projection", "donors": "lenders"}


class AllItems(NamedTuple):
    """Principal columns and offsets of all items of a table, donors and others.

    Attributes:
        columns: `[items, columns]`, principal columns of the title embeddings.
        offsets: `[items, hidden]`, offsets of the items; those of donors are trained.
    """

    columns: Tensor
    offsets: Tensor


class ColdItems(nn.Module):
    """Module that computes the vectors of cold items, and holds the tensors fitted for them.

    Attributes:
        offset: `[hidden]`, an offset that all cold items share; zeros before `place`.
        projection: `[hidden, columns]`, a second projection of titles, for cold items only; None
            before `place`.
        donors: `[items]`, whether each item is a donor; None before `place`.
    """

    offset: Tensor
    projection: Tensor | None
    donors: Tensor | None

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(hidden_size))
        self.register_buffer("projection", None)
        self.register_buffer("donors", None)
        self.register_load_state_dict_pre_hook(_create_optional_buffers)  # type: ignore[no-untyped-call]  # torch's

    @property
    def are_placed(self) -> bool:
        """True if `place` has been called, and `clear` has not been called since.

        Before that call, the vector of a cold item is its projected title embedding.
        """
        return self.donors is not None

    @property
    def shrinkage(self) -> float:
        """Factor that multiplies the projected title plus the mean donor offset.

        It is `SHRINKAGE` after `place`, and 1 before.
        """
        return SHRINKAGE if self.are_placed else 1.0

    @property
    def num_neighbours(self) -> int:
        """Number of nearest donors whose offsets are averaged for a cold item; 0 before `place`."""
        return 0 if self.donors is None else min(NUM_NEIGHBOURS, int(self.donors.sum()))

    @torch.no_grad()
    def place(self, donors: Tensor, offset: Tensor, projection: Tensor) -> None:
        """Places cold items: stores the arguments in the attributes of the same names."""
        device = self.offset.device
        self.donors = donors.to(device)
        self.offset.copy_(offset)
        self.projection = projection.to(device)

    def clear(self) -> None:
        """Undoes `place`: sets all attributes to their initial values."""
        self.offset.zero_()
        self.projection = self.donors = None

    def vectors(self, titles: Tensor, columns: Tensor, all_items: AllItems) -> Tensor:
        """Computes the vectors of cold items, `[cold, hidden]`, by the formula of this module.

        Args:
            titles: `[cold, hidden]`, projected title embeddings, times the weight of the item
                table.
            columns: `[cold, columns]`, principal columns of the title embeddings.
            all_items: columns and offsets of the table's items.
        """
        estimate = titles + self.neighbour_offsets(columns, all_items)
        vectors = self.shrinkage * estimate + self.offset
        return vectors if self.projection is None else vectors + columns @ self.projection.T

    def neighbour_offsets(self, columns: Tensor, all_items: AllItems) -> Tensor:
        """Computes the mean offset of the nearest donors of each cold item, `[cold, hidden]`.

        Without donors, the offsets are zero.

        Args:
            columns: `[cold, columns]`, principal columns of the cold items.
            all_items: columns and offsets of the table's items.
        """
        if self.donors is None or not self.num_neighbours:
            return self.offset.new_zeros(len(columns), len(self.offset))
        offsets = all_items.offsets[self.donors]
        parts = [
            self.likeness(part, all_items).topk(self.num_neighbours).indices
            for part in torch.split(columns, ROWS_AT_ONCE)
        ]
        return torch.cat([offsets[nearest].mean(dim=1) for nearest in parts])

    def likeness(self, columns: Tensor, all_items: AllItems) -> Tensor:
        """Computes the cosine of each cold item with each donor, `[cold, donors]`.

        The cosine is that of their principal columns.

        Args:
            columns: `[cold, columns]`, principal columns of the cold items.
            all_items: columns and offsets of the table's items.

        Raises:
            ValueError: cold items are not placed.
        """
        return functional.normalize(columns) @ self.donor_directions(all_items).T

    def donor_directions(self, all_items: AllItems) -> Tensor:
        """Returns the principal columns of all donors, scaled to unit length, `[donors, columns]`.

        Raises:
            ValueError: cold items are not placed.
        """
        if self.donors is None:
            raise ValueError("cold items are not placed: call ItemTable.place_cold_items first")
        return functional.normalize(all_items.columns[self.donors])


def keep_saved_names(item_table: nn.Module) -> None:
    """Registers hooks on `item_table` that rename tensors in its state dicts, in both directions.

    A state dict has the tensors of `item_table.cold_items` under the names `SAVED_NAMES`, as all
    checkpoints do. Loading renames them to the attributes of `ColdItems`.
    """
    item_table.register_state_dict_post_hook(_to_saved_names)  # type: ignore[no-untyped-call]  # torch's
    item_table.register_load_state_dict_pre_hook(_from_saved_names)  # type: ignore[no-untyped-call]  # torch's


def _to_saved_names(_: nn.Module, state: dict[str, Any], prefix: str, __: object) -> None:
    for name, saved in SAVED_NAMES.items():
        if (ours := f"{prefix}{STATE_PREFIX}{name}") in state:
            state[f"{prefix}{saved}"] = state.pop(ours)


def _from_saved_names(_: nn.Module, state: dict[str, Any], prefix: str, *__: object) -> None:
    for name, saved in SAVED_NAMES.items():
        if (theirs := f"{prefix}{saved}") in state:
            state[f"{prefix}{STATE_PREFIX}{name}"] = state.pop(theirs)


def _create_optional_buffers(
    cold_items: nn.Module, state: dict[str, Any], prefix: str, *_: object
) -> None:
    """Creates the buffers `projection` and `donors`; torch calls it before it loads `state`.

    torch loads values into existing buffers only, so both buffers get the shapes that they have in
    `state`. A buffer that `state` lacks becomes None. Names in `state` begin with `prefix`.
    """
    for name in ("projection", "donors"):
        saved = state.get(f"{prefix}{name}")
        device = cold_items.get_buffer("offset").device
        setattr(cold_items, name, None if saved is None else torch.zeros_like(saved, device=device))
