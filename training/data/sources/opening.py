"""Reads the interactions of an experiment from the source that its settings name."""

from collections.abc import Callable
from pathlib import Path

from training.data.raw import RawData
from training.data.sources.event_log import events_stamp, read_event_log
from training.data.sources.items_table import items_stamps
from training.data.sources.movielens import movielens_version, read_movielens
from training.data.sources.sql import with_tables
from training.data.sources.table_files import table_stamps
from training.data.sources.tables import read_tables
from training.errors import ConfigError
from training.settings.data import DataConfig


def read_source(config: DataConfig, say: Callable[[str], object] | None = None) -> RawData:
    """Reads the interactions and items of the source, before filter and split.

    Args:
        config: settings of the source.
        say: function that is called with a message on what each filter of the source leaves out;
            None for no messages.

    Raises:
        ConfigError: the settings lack the paths of the tables, or give paths for MovieLens.
        DataError: the source is missing or malformed.
    """
    if config.events is not None and config.items is not None:
        return read_event_log(config.events, config.items, config.missing_titles, say)
    with with_tables(config) as config_of_tables:
        paths = _table_paths(config_of_tables)
        return (
            read_movielens()
            if paths is None
            else read_tables(*paths, config.missing_titles, config.order)
        )


def source_stamps(config: DataConfig) -> list[str]:
    """Returns strings that identify the content of a dataset's source, for the dataset's stamp.

    For tables, these are the SHA-256 hashes of their files, so their paths do not matter. For
    queries, these are the hashes of their results, see `training.data.sources.sql`. For an event
    log, these are `events_stamp` and the hashes of the items table. For MovieLens, it is the
    version of the package.

    Raises:
        ConfigError: the settings lack the paths of the tables, or give paths for MovieLens.
        DataError: a file is missing, empty or not readable.
    """
    if config.events is not None and config.items is not None:
        return [events_stamp(config.events), *items_stamps(config.items)]
    with with_tables(config) as config_of_tables:
        paths = _table_paths(config_of_tables)
        if paths is None:
            return [movielens_version()]
        interactions, items = paths
        return [*table_stamps(interactions), *items_stamps(items)]


def _table_paths(config: DataConfig) -> tuple[Path, Path] | None:
    """Returns the paths of the interactions table and the items table; None for MovieLens.

    Raises:
        ConfigError: the settings lack the paths of the tables, or give paths for MovieLens.
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
