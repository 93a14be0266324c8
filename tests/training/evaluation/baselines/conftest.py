"""Sessions small enough to rank from by hand."""

import numpy as np
import pytest

from training.data.catalog import Catalog
from training.data.dataset import Dataset, Split, make_dataset


@pytest.fixture
def visits() -> Dataset:
    """Four neighbours, then eve, whose history is a b c a before her held-out row 14.

    ann: a b d, bob: c e, cay: d f, dan: b c d. Nobody else has both a and c.
    """
    sessions = [[1, 2, 4], [3, 5], [4, 6], [2, 3, 4], [1, 2, 3, 1, 6]]
    lengths = [len(session) for session in sessions]
    return make_dataset(
        name="visits",
        catalog=Catalog(tuple("abcdef"), tuple("ABCDEF"), ({},) * 6),
        user_ids=("ann", "bob", "cay", "dan", "eve"),
        item_indices=np.concatenate(sessions),
        user_offsets=np.cumsum([0, *lengths]),
        splits=np.array([Split.TRAIN] * 14 + [Split.VALIDATION]),
    )


def with_next_item(dataset: Dataset, item: int) -> Dataset:
    """Another next item for eve's held-out row 14."""
    items = dataset.item_indices.copy()
    items[14] = item
    return make_dataset(
        "other", dataset.catalog, dataset.user_ids, items, dataset.user_offsets, dataset.splits
    )
