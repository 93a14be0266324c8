"""Computes the constants that a search by blocks reads, from the item table.

The table is read in parts, so that nothing but the constants grows with the catalog: no copy of
the whole table is made. Constants do not depend on the size of the parts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from export.graphs.blocks.order import NUM_SPLIT, Axes, axes_of, block_order
from export.graphs.blocks.search import TRUSTED_SHARE, BlockSizes
from export.graphs.codes import SMALLEST, Table, codes_of, parts_of, step_of
from export.graphs.proven.search import Constants, never_padding
from training.data.catalog import PADDING_INDEX

# All items that may be answered are scored one by one if they are at most this share of all items;
# otherwise the whole table is scored, which reads it in order.
FEW_SHARE = 8
SAMPLE_SIZE = 65_536  # of the items of which those that may be answered are counted, at least
Summary = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Centers and variances, `[blocks or groups, coordinates]` each."""

# Share of the largest product of two tails that an item's estimate includes. Tails rarely point in
# one direction: at half of it, few items are underestimated.
TAIL_SHARE = 0.5
# Numbers of coordinates whose mean and variance a summary has. With all 64 of each, summaries of a
# million items find as many of the best items, and have 2.7 times the bytes.
NUM_MEANS, NUM_VARIANCES = 32, 16
# A block's estimate is the mean of its items' scores and so many standard deviations.
NUM_DEVIATIONS = 2.0


@dataclass(frozen=True)
class Blocks:
    """The items of a table in blocks of similar items.

    Attributes:
        table: `[rows, hidden]`, the item vectors; row 0 is padding.
        axes: turns them into coordinates.
        order: `[blocks, items of a block]`, item indices by block.
    """

    table: Table
    axes: Axes
    order: NDArray[np.int64]

    @classmethod
    def of(cls, table: Table, usual_queries: NDArray[np.float32], size: int) -> "Blocks":
        """Puts the items of `table` into blocks.

        Args:
            table: the item vectors.
            usual_queries: `[queries, hidden]`, typical query vectors, which decide the axes.
            size: number of items in a block.
        """
        axes = axes_of(table[1:], usual_queries)
        # Weighted by the queries' standard deviations, distances are differences of usual scores.
        weights = np.sqrt(axes.weights[:NUM_SPLIT]).astype(np.float32)
        weighted = np.empty((len(table) - 1, len(weights)), dtype=np.float32)
        for part in parts_of(len(weighted)):
            weighted[part] = _turned(table[1:][part], axes)[:, :NUM_SPLIT] * weights
        order = block_order(weighted, size)
        order += 1
        return cls(table, axes, _in_blocks(order, size))

    def __len__(self) -> int:
        return len(self.order)

    def in_groups(self, size: int) -> "Blocks":
        """Returns these blocks, and blocks of padding after them that fill a group of `size`."""
        missing = -len(self) % size
        order = np.pad(self.order, ((0, missing), (0, 0)), constant_values=PADDING_INDEX)
        return replace(self, order=order)

    def coordinates(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yields places of blocks, and their items' coordinates, `[blocks, items, hidden]`."""
        for part in self._parts():
            yield part, _turned(self.table[self.order[part]], self.axes)

    def codes(self) -> NDArray[np.int8]:
        """Returns the codes of the item vectors by block, `[blocks, hidden * items]`."""
        step, size = step_of(self.table), self.order.shape[1]
        codes = np.empty((len(self), self.table.shape[1], size), dtype=np.int8)
        for part in self._parts():
            codes[part] = codes_of(self.table[self.order[part]], step).swapaxes(1, 2)
        return codes.reshape(len(self), -1)

    def _parts(self) -> Iterator[slice]:
        return parts_of(*self.order.shape)


def block_constants(blocks: Blocks, sizes: BlockSizes) -> Constants:
    """Computes the constants that the search reads besides the item table, keyed by name.

    `sizes`: amounts of data that the search reads.
    """
    table, num_items = blocks.table, len(blocks.table) - 1
    if not sizes.num_codes:
        blocks = blocks.in_groups(sizes.group_size)
    sample_step = max(1, num_items // SAMPLE_SIZE)
    step_1 = _heads(blocks, sizes.num_codes - 1) if sizes.num_codes else _summaries(blocks, sizes)
    return {
        "never_padding": never_padding(len(table)),
        **sizes_constants(sizes, num_items),
        **step_1,
        "item_codes_by_block": blocks.codes(),
        "items_by_block": blocks.order.reshape(-1),
        "block_size": np.array(sizes.block_size),
        "after_batch": np.array([1, 2]),
        "in_coordinates": np.array([0, 0, table.shape[1], sizes.block_size]),
        "in_rows": np.array([0, -1]),
        "in_items": np.array([0, -1, sizes.block_size]),
        "least_estimate": np.array([np.iinfo(np.int32).min], dtype=np.int32),
        "sample_start": np.array([0]),
        "sample_step": np.array([sample_step]),
        "num_few": np.array([len(table) // FEW_SHARE // sample_step]),
        "first_item": np.array([1]),
        "last_row_as_list": np.array([num_items]),
        "past_last_row": np.array([len(table)]),
    }


def sizes_constants(sizes: BlockSizes, num_items: int) -> Constants:
    """Computes the constants that depend on the number of blocks that are read, keyed by name."""
    num_candidates, num_wide = sizes.num_candidates(num_items), sizes.num_wide_candidates(num_items)
    groups = {"num_chosen_groups": np.array([sizes.num_chosen_groups(num_items)])}
    return {
        **({} if sizes.num_codes else groups),
        "num_chosen_blocks": np.array([sizes.num_chosen(num_items)]),
        "num_candidates": np.array([num_candidates]),
        "num_trusted": np.array([num_candidates // TRUSTED_SHARE]),
        "num_chosen_blocks_more": np.array([sizes.num_more(num_items)]),
        "num_blocks_wide": np.array([sizes.num_wide_blocks(num_items)]),
        "num_candidates_wide": np.array([num_wide]),
        "num_trusted_wide": np.array([num_wide // TRUSTED_SHARE]),
    }


def _heads(blocks: Blocks, head_size: int) -> Constants:
    """Computes what step 1 reads of every item, keyed by name: the codes of its head and tail."""
    steps = np.zeros(2, dtype=np.float32)
    for _, coordinates in blocks.coordinates():
        parts = coordinates[..., :head_size], _tails(coordinates, head_size)
        steps = np.maximum(steps, [step_of(each) for each in parts])
    head_step, tail_step = steps
    short = np.empty((head_size + 1, *blocks.order.shape), dtype=np.int8)
    for part, coordinates in blocks.coordinates():
        head, tail = coordinates[..., :head_size], _tails(coordinates, head_size)
        short[:-1, part] = np.moveaxis(codes_of(head, head_step), -1, 0)
        short[-1:, part] = np.moveaxis(codes_of(tail, tail_step), -1, 0)
    of_queries = blocks.axes.of_queries.astype(np.float32)
    return {
        "to_head": of_queries[:, :head_size].copy(),
        "to_tail": of_queries[:, head_size:].copy(),
        "tail_factor": np.array(TAIL_SHARE * float(tail_step) / float(head_step), np.float32),
        "short_item_codes": short.reshape(head_size + 1, -1),
        "in_blocks": np.array([0, *blocks.order.shape]),
    }


def _tails(coordinates: NDArray[np.float32], head_size: int) -> NDArray[np.float32]:
    """Returns the length of each item's tail, `[blocks, items, 1]`."""
    tail = coordinates[..., head_size:]
    tails: NDArray[np.float32] = np.linalg.norm(tail, axis=-1, keepdims=True)
    return tails


def _summaries(blocks: Blocks, sizes: BlockSizes) -> Constants:
    """Computes codes of the centers and variances of all blocks and groups, and their scales."""
    hidden_size = blocks.table.shape[1]
    centers = np.empty((len(blocks), min(NUM_MEANS, hidden_size)), np.float32)
    variances = np.empty((len(blocks), min(NUM_VARIANCES, hidden_size)), np.float32)
    for part, coordinates in blocks.coordinates():
        centers[part] = coordinates[..., : centers.shape[1]].mean(axis=1)
        variances[part] = coordinates[..., : variances.shape[1]].var(axis=1)
    usual = variances.mean(axis=0, dtype=np.float64)
    group_centers, group_variances = _of_groups(centers, variances, sizes.group_size)
    group_variances /= _wider(usual, group_variances, blocks.axes)
    steps = step_of(centers), np.maximum(step_of(variances), step_of(group_variances))
    codes = _codes_of_both((centers, variances), steps)
    by_group = codes.reshape(-1, sizes.group_size, codes.shape[1]).swapaxes(1, 2)
    factor = NUM_DEVIATIONS / 2 * float(steps[1]) / float(steps[0])
    of_queries = blocks.axes.of_queries.astype(np.float32)
    return {
        "to_coordinates": of_queries[:, : centers.shape[1]].copy(),
        "to_first_coordinates": of_queries[:, : variances.shape[1]].copy(),
        "group_codes": _codes_of_both((group_centers, group_variances), steps).T.copy(),
        "summary_codes_by_group": by_group.reshape(len(by_group), -1),
        "in_summaries": np.array([0, 0, *by_group.shape[1:]]),
        "group_size": np.array(sizes.group_size),
        "usual_variances": usual[:, None].astype(np.float32),
        "spread_factor": np.array(factor, dtype=np.float32),
        "smallest": np.array(SMALLEST, dtype=np.float32),
    }


def _codes_of_both(parts: Summary, steps: tuple[np.float32, np.float32]) -> NDArray[np.int8]:
    """Returns the codes of centers and variances side by side, `[rows, both]`."""
    return np.hstack([codes_of(part, step) for part, step in zip(parts, steps, strict=True)])


def _of_groups(centers: NDArray[np.float32], variances: NDArray[np.float32], size: int) -> Summary:
    """Returns the centers and variances of groups of `size` blocks, from those of the blocks."""
    by_group = centers.reshape(-1, size, centers.shape[1])
    within = variances.reshape(-1, size, variances.shape[1]).mean(axis=1)
    between = by_group[..., : variances.shape[1]].var(axis=1)
    return by_group.mean(axis=1), within + between


def _wider(
    usual: NDArray[np.float64], group_variances: NDArray[np.float32], axes: Axes
) -> np.float32:
    """Returns how many times an average group's deviation is an average block's, at least 1.

    `usual`: the mean variance of blocks by coordinate. Coordinates count by the queries' variance.
    """
    weights = axes.weights[: len(usual)]
    of_groups = group_variances.mean(axis=0, dtype=np.float64) @ weights
    return np.float32(max(1.0, of_groups / max(usual @ weights, SMALLEST)) ** 0.5)


def _turned(vectors: Table, axes: Axes) -> NDArray[np.float32]:
    """Returns the coordinates of item vectors, `[items, hidden]`.

    They are computed in double precision: BLAS sums the rows at the end of a part in another order,
    and so their last digits in single precision would depend on the size of the parts.
    """
    return (vectors @ axes.of_items).astype(np.float32)


def _in_blocks(order: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Divides the item indices `order` into blocks, `[blocks, size]`, with padding after them.

    Padding, index 0, has codes of zero and is never recommended.
    """
    missing = -len(order) % size
    return np.pad(order, (0, missing), constant_values=PADDING_INDEX).reshape(-1, size)
