"""The k-core filter: leaves out users and items with fewer than `k` interactions."""

import numpy as np
from numpy.typing import NDArray

from training.data.large_arrays import blocks, new_array
from training.data.raw import RawData
from training.errors import DataError


def keep_core(raw: RawData, k: int) -> RawData:
    """Returns the largest part of `raw` in which all users and items have at least `k` rows.

    Raises:
        DataError: no interaction is left.
    """
    kept = new_array(raw.num_rows, np.bool_)
    kept[:] = True
    num_kept, num_before = raw.num_rows, -1
    # Repeat until nothing changes: removing an item may leave a user with too few interactions, and
    # removing that user may leave another item with too few.
    while num_kept != num_before:
        num_before, num_kept = num_kept, _remove_rare(raw, kept, k)
    if not num_kept:
        raise DataError(
            f"{raw.origin}: no user and item with at least {k} interactions each are left; "
            f"lower data.min_interactions = {k}"
        )
    return raw.select(kept)


def _remove_rare(raw: RawData, kept: NDArray[np.bool_], k: int) -> int:
    """Removes from the mask `kept` the rows of users and items with fewer than `k` rows in it.

    Returns the number of rows that are left.
    """
    per_user, per_item = raw.counts(kept)
    num_kept = 0
    for rows in blocks(raw.num_rows):
        is_common = per_user[raw.users_of(rows)] >= k
        kept[rows] &= is_common & (per_item[raw.item_indices[rows]] >= k)
        num_kept += int(np.count_nonzero(kept[rows]))
    return num_kept
