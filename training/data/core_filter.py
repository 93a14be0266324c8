"""The k-core filter: leaves out users and items with fewer than `k` interactions."""

import numpy as np

from training.data.raw import RawData
from training.errors import DataError


def keep_core(raw: RawData, k: int) -> RawData:
    """Returns the largest part of `raw` in which all users and items have at least `k` rows.

    Raises:
        DataError: no interaction is left.
    """
    kept = np.ones(len(raw.users), dtype=np.bool_)
    num_kept = -1
    # Repeat until nothing changes: removing an item may leave a user with too few interactions, and
    # removing that user may leave another item with too few.
    while num_kept != kept.sum():
        num_kept = kept.sum()
        per_user = np.bincount(raw.users[kept], minlength=len(raw.user_ids))
        per_item = np.bincount(raw.item_indices[kept], minlength=raw.catalog.num_rows)
        kept &= (per_user[raw.users] >= k) & (per_item[raw.item_indices] >= k)
    if not num_kept:
        raise DataError(
            f"{raw.origin}: no user and item with at least {k} interactions each are left; "
            f"lower data.min_interactions = {k}"
        )
    return raw.select(kept)
