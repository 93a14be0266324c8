"""A dataset small enough to check by hand, for every test of the offline road."""

import numpy as np
import pytest

from training.data.catalog import Catalog
from training.data.dataset import Dataset, Split, make_dataset

TITLES = ("Alien (1979)", "Brazil (1985)", "Clue (1985)", "Dune (1984)", "Eraserhead (1977)")


@pytest.fixture
def tiny_dataset() -> Dataset:
    """Three users, five items, eleven rows.

    ann: a b c | d (validation) | a (test): row 4 is a repeat
    bob: b c   | e (test): item e is cold
    cay: a d (history) c | no held-out rows
    """
    train, history, validation, test = Split
    catalog = Catalog(
        item_ids=("a", "b", "c", "d", "e"),
        titles=TITLES,
        attributes=tuple({"decade": (title[-5:-2] + "0s",)} for title in TITLES),
    )
    return make_dataset(
        name="tiny",
        catalog=catalog,
        user_ids=("ann", "bob", "cay"),
        item_indices=np.array([1, 2, 3, 4, 1, 2, 3, 5, 1, 4, 3]),
        user_offsets=np.array([0, 5, 8, 11]),
        splits=np.array(
            [train, train, train, validation, test, train, train, test, train, history, train]
        ),
    )
