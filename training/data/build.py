"""Builds a dataset from its source: k-core filter, split, and check for leakage."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from training.data.core_filter import keep_core
from training.data.dataset import Dataset, make_dataset
from training.data.leakage import check_leakage
from training.data.movielens import movielens_version, read_movielens
from training.data.raw import RawData
from training.data.splits import NEEDED, is_split_by_time, split_rows
from training.data.tables import read_tables
from training.data.text_table import read_bytes
from training.errors import ConfigError, DataError
from training.settings.experiment import DataConfig


def build_dataset(
    name: str, config: DataConfig, say: Callable[[str], object] | None = None
) -> Dataset:
    """Builds the dataset that `config` describes.

    Args:
        name: name of the dataset.
        config: settings of source, filter and split.
        say: function that gets one message: how many users and items the filter leaves out. None:
            no message.

    Raises:
        ConfigError: paths of tables are missing, or are given for MovieLens.
        DataError: the source is missing, malformed or too small for three splits.
        LeakageError: training could see the next item of a held-out example.
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
                f"{raw.origin}: no {split.name.lower()} interaction has an earlier interaction of "
                "the same user; each split needs one, so that a history comes before it"
            )
    return dataset


def source_stamps(config: DataConfig) -> list[str]:
    """Returns texts that identify the content of a dataset's source; parts of the dataset's stamp.

    For tables, these are the SHA-256 hashes of both files, so their paths do not matter. For
    MovieLens, it is the version of the package data.

    Raises:
        ConfigError: paths of tables are missing, or are given for MovieLens.
        DataError: a file is missing, empty or not readable.
    """
    paths = _table_paths(config)
    if paths is None:
        return [movielens_version()]
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
    """Returns the paths of the interactions table and the items table; None for MovieLens.

    Raises:
        ConfigError: paths are given for MovieLens, or missing for tables.
    """
    if config.source == "movielens":
        if config.interactions or config.items:
            raise ConfigError(
                'data.source = "movielens" takes no data.interactions or data.items; remove them, '
                'or set data.source = "tables"'
            )
        return None
    if config.interactions is None or config.items is None:
        raise ConfigError(
            'data.source = "tables" needs data.interactions and data.items: the paths of two tables'
        )
    return config.interactions, config.items
