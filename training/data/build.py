"""Builds a dataset from its source: k-core filter, split, and check for leakage."""

from collections.abc import Callable

from training.data.core_filter import keep_core
from training.data.dataset import Dataset, make_dataset
from training.data.leakage import check_leakage
from training.data.raw import RawData
from training.data.sources.opening import read_source
from training.data.splits import NEEDED, is_split_by_time, split_rows
from training.errors import DataError
from training.settings.data import DataConfig


def build_dataset(
    name: str, config: DataConfig, say: Callable[[str], object] | None = None
) -> Dataset:
    """Builds the dataset that `config` describes.

    Args:
        name: name of the dataset.
        config: settings of source, filter and split.
        say: function that is called with a message on what each filter leaves out; None for no
            messages.

    Raises:
        ConfigError: the settings lack the paths of the tables, or give paths for MovieLens.
        DataError: the source is missing, malformed or too small for three splits, or a bundle
            cannot hold an item.
        LeakageError: training could see the next item of a held-out example.
    """
    raw = read_source(config, say)
    if raw.splits is None and config.min_interactions > 1:
        unfiltered, raw = raw, keep_core(raw, config.min_interactions)
        if say:
            say(_left_out(unfiltered, raw, config.min_interactions))
    raw.catalog.check_servable()
    dataset = make_dataset(
        name=name,
        catalog=raw.catalog,
        user_ids=raw.user_ids,
        item_indices=raw.item_indices,
        user_offsets=raw.user_offsets,
        splits=split_rows(raw, config),
    )
    check_leakage(dataset, raw, by_time=is_split_by_time(raw, config))
    for split in NEEDED:
        if not dataset.num_examples(split):
            raise DataError(
                f"{raw.origin}: no {split.name.lower()} interaction has an earlier interaction of "
                "the same user; each split needs one, so that a history comes before it"
            )
    return dataset


def _left_out(unfiltered: RawData, kept: RawData, k: int) -> str:
    all_users, all_items = len(unfiltered.user_ids), unfiltered.catalog.num_items
    users, items = all_users - len(kept.user_ids), all_items - kept.catalog.num_items
    return (
        f"data.min_interactions = {k} leaves out {users:,} of {all_users:,} users and "
        f"{items:,} of {all_items:,} items"
    )
