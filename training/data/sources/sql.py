"""Reads interactions and items by SQL queries, through Arrow and the database's ADBC driver.

The results are kept in temporary Parquet files, in batches, so they may be larger than memory. All
that follows reads these files as it reads any table: each query runs once, and dataset and stamp
are of the same rows.

The address of the database comes from an environment variable. Its scheme names the driver. Those
of SQLite (`sqlite:///shop.db`, with four slashes for an absolute path) and PostgreSQL come with the
extra `sql`; the driver manager finds other drivers that are installed on the machine.
"""

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow.parquet as pq

from training.data.large_arrays import temporary_space
from training.data.sources.columnar_file import ROWS_A_BATCH, in_tables
from training.data.sources.table_files import check_readable
from training.errors import ConfigError, DataError
from training.settings.data import DataConfig, SqlConfig

Say = Callable[[str], object]

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgres://")
_HIDDEN = "…"
_USER_AND_PASSWORD = re.compile(r"://(.*)@")
_PASSWORDS = re.compile(r"password=([^&\s]*)")
_PARTS = re.compile(r"[/?#@:]")
_SHORTEST = 3  # characters of a part of a password that is hidden
_ROWS_OF_TYPES = "1000000"
"""Rows from which SQLite's driver takes the types of a query's columns, as it reads them at once.

Columns of SQLite have no type of their own, and one may be NULL in all of the first rows.
"""


@contextmanager
def with_tables(config: DataConfig, say: Say | None = None) -> Iterator[DataConfig]:
    """Context manager: yields `config` with the results of its queries as tables in files.

    A configuration without queries is yielded as it is. On exit, the files are deleted. In messages
    of errors, a query's setting stands in place of its file.

    Args:
        config: settings of the source.
        say: function that is called with a message on each query; None for no messages.

    Raises:
        ConfigError: the environment variable of the address is not set, or the driver is missing.
        DataError: the database does not answer, or refuses a query.
    """
    if config.sql is None:
        yield config
        return
    with tempfile.TemporaryDirectory(prefix="sql-") as folder:
        paths = _save_results(config.sql, Path(folder), say)
        tables = {"source": "tables", "sql": None, **paths}
        try:
            yield config.model_copy(update=tables)
        except DataError as error:
            message = str(error)
            for name, path in paths.items():
                message = message.replace(str(path), f"data.sql.{name}")
            raise type(error)(message) from None


def _save_results(sql: SqlConfig, folder: Path, say: Say | None) -> Mapping[str, Path]:
    """Runs the queries on one connection; returns the file of each result by its setting's name."""
    address = os.environ.get(sql.address_variable)
    if not address:
        raise ConfigError(
            f"environment variable {sql.address_variable} is not set; data.sql.address_variable "
            "names it, and it has the database's address, such as postgresql://… or sqlite:///…"
        )
    queries = {"interactions": sql.interactions, "items": sql.items}
    paths = {name: folder / f"{name}.parquet" for name, query in queries.items() if query}
    with _errors_of_driver(sql.address_variable, address, "cannot be opened"):
        connection = _connect(sql.address_variable, address)
    is_sqlite = address.startswith(_SQLITE)
    options = {"adbc.sqlite.query.batch_rows": _ROWS_OF_TYPES} if is_sqlite else {}
    try:
        for name, path in paths.items():
            with _errors_of_driver(f"data.sql.{name}", address, "the query fails"):
                num_rows = _save_result(connection, str(queries[name]), path, options)
            if say:
                say(f"data.sql.{name}: {num_rows:,} rows")
    finally:
        connection.close()
    return paths


def _connect(variable: str, address: str) -> Any:
    """Opens a connection by the driver that the scheme of `address` names.

    Raises:
        ConfigError: the libraries of the extra `sql` are not installed.
        DataError: the file of a SQLite database is missing, empty or not readable.
    """
    try:
        if address.startswith(_SQLITE):
            from adbc_driver_sqlite import dbapi as sqlite

            path = Path(unquote(address.removeprefix(_SQLITE)))
            check_readable(path)  # the driver's own message would speak of memory
            return sqlite.connect(f"file:{quote(str(path))}?mode=ro")
        if address.startswith(_POSTGRESQL):
            from adbc_driver_postgresql import dbapi as postgresql

            return postgresql.connect(address)
        from adbc_driver_manager import dbapi as manager

        return manager.connect(uri=address)
    except ImportError as error:
        raise ConfigError(
            f"{variable}: needs a library that is not installed ({error}); install "
            "distilled-recommender[sql]"
        ) from None


def _save_result(connection: Any, query: str, path: Path, options: Mapping[str, str]) -> int:
    """Writes the rows of a query to a Parquet file, batch by batch; returns their number.

    `options`: settings of the driver for a query, by name.
    """
    num_rows = 0
    with connection.cursor(adbc_stmt_kwargs=dict(options)) as cursor:
        cursor.execute(query)
        batches = cursor.fetch_record_batch()
        with pq.ParquetWriter(path, batches.schema) as writer:
            for table in in_tables(batches.schema, batches):
                with temporary_space(table.nbytes):
                    writer.write_table(table, row_group_size=ROWS_A_BATCH)
                num_rows += table.num_rows
    return num_rows


@contextmanager
def _errors_of_driver(what: str, address: str, problem: str) -> Iterator[None]:
    """Turns errors of the driver and of Arrow into a DataError without what is secret."""
    try:
        yield
    except (DataError, ConfigError):
        raise
    except Exception as error:  # drivers raise classes of their own, OSError and errors of Arrow
        message = " ".join(str(error).split())
        raise DataError(f"{what}: {problem}: {_without_secrets(message, address)}") from None


def _without_secrets(message: str, address: str) -> str:
    """Hides an address and its password in a message."""
    for secret in sorted(_secrets(address), key=len, reverse=True):
        message = message.replace(secret, _HIDDEN)
    return message


def _secrets(address: str) -> Iterator[str]:
    """Yields an address, its passwords, encoded or not, and their parts.

    A password whose `/` or `@` is not encoded may be quoted in parts, as a host or a port.
    """
    yield address
    user_and_password = _USER_AND_PASSWORD.search(address)
    passwords = [*_PASSWORDS.findall(address)]
    if user_and_password:
        yield user_and_password[1]
        passwords.append(user_and_password[1].partition(":")[2])
    for password in passwords:
        for form in (password, unquote(password)):
            yield from (part for part in (form, *_PARTS.split(form)) if len(part) >= _SHORTEST)
