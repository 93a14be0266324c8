"""Builds a dataset: reads the source that a config names, filters, splits, checks for leakage."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from training.data.core_filter import keep_core
from training.data.dataset import Dataset, make_dataset
from training.data.leakage import check_leakage
from training.data.movielens import movielens_stamp, read_movielens
from training.data.raw import RawData
from training.data.splits import NEEDED, is_split_by_time, split_rows
from training.data.tables import read_tables
from training.data.text_table import read_bytes
from training.errors import ConfigError, DataError
from training.settings.experiment import DataConfig


def build_dataset(
    name: str, config: DataConfig, say: Callable[[str], object] | None = None
) -> Dataset:
    """Reads, filters, splits and checks; `say` gets a line on what the filter leaves out.

    Raises:
        ConfigError: the settings do not fit each other.
        DataError: the source cannot become a dataset.
        LeakageError: a held-out target could be seen in training.
    """
    raw = _read(config)
    if raw.splits is None and config.min_interactions > 1:
        unfiltered, raw = raw, keep_core(raw, config.min_interactions)
        if say:
            say(_left_out(unfiltered, raw, config.min_interactions))
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
        if not len(dataset.example_rows(split)):
            raise DataError(
                f"{raw.origin}: no {split.name.lower()} interaction has one of the same user "
                "before it"
            )
    return dataset


def source_stamps(config: DataConfig) -> list[str]:
    """Content hashes of the files that `build_dataset` would read; paths do not enter."""
    paths = _table_paths(config)
    if paths is None:
        return [movielens_stamp()]
    return [hashlib.sha256(read_bytes(path)).hexdigest() for path in paths]


def _left_out(unfiltered: RawData, kept: RawData, k: int) -> str:
    all_users, all_items = len(unfiltered.user_ids), unfiltered.catalog.num_items
    users, items = all_users - len(kept.user_ids), all_items - kept.catalog.num_items
    return (
        f"data.min_interactions = {k} leaves out {users:,} of {all_users:,} users and "
        f"{items:,} of {all_items:,} items"
    )


def _read(config: DataConfig) -> RawData:
    paths = _table_paths(config)
    return read_movielens() if paths is None else read_tables(*paths, config.missing_titles)


def _table_paths(config: DataConfig) -> tuple[Path, Path] | None:
    """Paths of interactions and items; None for a source without files."""
    if config.source == "movielens":
        if config.interactions or config.items:
            raise ConfigError('data.source = "movielens" takes no data.interactions or data.items')
        return None
    if config.interactions is None or config.items is None:
        raise ConfigError('data.source = "tables" needs data.interactions and data.items')
    return config.interactions, config.items
