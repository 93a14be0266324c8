"""A bundle of another dataset ranks by the ids of items."""

from pathlib import Path

import numpy as np

from export.contract.bundle import load_bundle
from export.served_figures import bundle_ranker
from tests.service.conftest import bundle_path as bundle_path
from training.data.catalog import Catalog
from training.data.dataset import Split, make_dataset


def test_items_are_matched_by_id_and_unknown_ones_left_out_or_kept_as_padding(
    bundle_path: Path,
) -> None:
    """The bundle ranks by the way ahead on the ring a … h; `z` is new since."""
    ids = ("c", "d", "z", "a")
    dataset = make_dataset(
        name="newer",
        catalog=Catalog(ids, ids, ({},) * 4),
        user_ids=("ann", "bob"),
        item_indices=np.array([3, 1, 2, 3, 4]),
        user_offsets=np.array([0, 3, 5]),
        splits=np.array([Split.TRAIN, Split.TRAIN, Split.TEST, Split.TRAIN, Split.TEST]),
    )

    after_z_c, after_z = bundle_ranker(load_bundle(bundle_path), dataset)(np.array([2, 4]))

    assert after_z_c[:8].tolist() == [2, 0, 0, 0, 0, 4, 0, 0]  # d e f g h a b
    assert after_z[:8].tolist() == [0, 0, 0, 0, 2, 1, 0, 4]  # by popularity: h g f e d c b a
