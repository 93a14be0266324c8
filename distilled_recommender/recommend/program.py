"""`distilled-recommender recommend`: recommends for every history of a Parquet file."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
from cyclopts import Parameter
from cyclopts.validators import Number

from distilled_recommender.recommend.answers import ANSWERS, HISTORY, Answering, QueryOptions
from distilled_recommender.recommend.live_items import (
    NO_LIVE_ITEMS,
    LiveItems,
    keep,
    kept_or_present,
)
from distilled_recommender.recommend.parts import Parts
from distilled_recommender.recommend.workers import Task, answered
from export.contract.records import MAX_LINES
from training.cli import say
from training.compute.processes import usable_cores
from training.errors import ConfigError
from training.progress import ProgressBar

PART_ROWS = 8192
"""Number of histories in a part, which is answered and stored at once; fewer for long lists."""
_MAX_PART_ITEMS = 2**22  # recommended items in a part; pyarrow holds 2 GiB of ids at once

_LISTS = (
    *(pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list),
    *(pa.types.is_list_view, pa.types.is_large_list_view),
)
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)

_Bundle = Annotated[Path, Parameter(help="Folder of a bundle.")]
_Histories = Annotated[
    Path,
    Parameter(help="Parquet file with a column `history`: a list of item ids, oldest first."),
]
_Out = Annotated[
    Path, Parameter(help="Parquet file to write: the other columns, item_ids, scores and source.")
]
_K = Annotated[int, Parameter(help="Number of items for each history.", show_default=True)]
_Allow = Annotated[
    Sequence[str],
    Parameter(help="NAME=VALUE: items have one of the values given for an attribute; repeatable."),
]
_Deny = Annotated[
    Sequence[str], Parameter(help="NAME=VALUE: items do not have this value; repeatable.")
]
_WithSeen = Annotated[bool, Parameter(help="Recommend items of the history too.")]
_LiveItems = Annotated[
    bool,
    Parameter(
        help="Also recommend the items that were added to a service, and leave out those hidden "
        "there; they are read once, from its REDIS_URL or ITEMS_PATH in the environment."
    ),
]
_Workers = Annotated[
    int | None,
    Parameter(help="Number of processes; one per core by default.", validator=Number(gte=1)),
]


def command(
    bundle: _Bundle,
    histories: _Histories,
    out: _Out,
    /,
    *,
    k: _K = 20,
    allow: _Allow = (),
    deny: _Deny = (),
    with_seen: _WithSeen = False,
    live_items: _LiveItems = False,
    workers: _Workers = None,
) -> None:
    """Recommend for every history of a Parquet file, with the ranking of the service."""
    if not 1 <= k <= MAX_LINES:
        raise ConfigError(f"--k: must be from 1 to {MAX_LINES:,}, not {k}")
    bundle = bundle.resolve()  # workers load it again, and a link may have moved meanwhile
    question = QueryOptions(k, _values("allow", allow), _values("deny", deny), not with_seen)
    if out.exists():
        raise ConfigError(f"{out} exists: remove it, or choose another output file")
    with _opened(histories) as file:
        num_rows = file.metadata.num_rows
        parts = Parts(out)
        kept = parts.folder / "live-items.json"
        live = kept_or_present(kept) if live_items else NO_LIVE_ITEMS
        # Refuses a wrong bundle or filter before workers start, and before anything is kept.
        answering = Answering(bundle, question, live)
        rows = _rows_of_part(min(k, answering.num_items))
        stamp = _stamp(histories, file, rows, answering.version, question, live)
        with _told_by_name(out), parts.open(stamp):
            if live_items:
                keep(live, kept)
                _tell(live, answering.num_added)
            load = partial(Answering, bundle, question, live, answering.version)
            _answer(file, rows, parts, load, workers or usable_cores())
    say(f"written: {out}, {num_rows:,} histories")


@contextmanager
def _told_by_name(out: Path) -> Iterator[None]:
    """Context manager that turns an OSError, such as of a full disk, into an error about `out`."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{out} is not finished: {error}; the same command goes on where it stopped"
        ) from error


def _rows_of_part(list_length: int) -> int:
    """Returns the number of histories in a part, for lists of `list_length` items."""
    return max(1, min(PART_ROWS, _MAX_PART_ITEMS // max(1, list_length)))


def _tell(live: LiveItems, num_added: int) -> None:
    say(
        f"live items: {num_added:,} of {len(live.added):,} added ones that fit this bundle, "
        f"{len(live.edits):,} edits"
    )


def _answer(
    file: pq.ParquetFile, rows: int, parts: Parts, load: Callable[[], Answering], num_workers: int
) -> None:
    """Answers the parts of `file`, of `rows` histories each, not stored yet, and joins all."""
    num_rows = file.metadata.num_rows
    numbers = range(-(-num_rows // rows))
    with ProgressBar("recommending", num_rows, "history") as bar:
        for number in answered(_missing(file, rows, parts, bar), parts, load, num_workers):
            bar.advance(number)
    if not numbers:
        parts.write(0, _empty(file.schema_arrow))
    with ProgressBar("joining parts", num_rows, "history") as bar:
        parts.join(numbers or range(1), bar.advance)


def _values(option: str, pairs: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Parses `NAME=VALUE` pairs; returns the values by name, in the order of the pairs.

    `option` is the name of the command-line option without dashes, for the error message.

    Raises:
        ConfigError: a pair has no `=`.
    """
    values: dict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--{option}: {pair!r} is not of the form NAME=VALUE")
        values[name].append(value)
    return values


def _opened(path: Path) -> pq.ParquetFile:
    """Opens a Parquet file of histories.

    Raises:
        ConfigError: the file cannot be read, lacks a column of histories, or has a column with a
            name that the output needs (`ANSWERS`).
    """
    try:
        # What is read in advance would stay in memory until the file is closed.
        file = pq.ParquetFile(path, pre_buffer=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise ConfigError(f"{path}: not a Parquet file that can be read ({error})") from None
    schema = file.schema_arrow
    kinds = [field.type for field in schema if field.name == HISTORY]
    if len(kinds) != 1 or not _is_list_of_texts(kinds[0]):
        raise ConfigError(
            f"{path}: needs a column {HISTORY!r} of lists of strings, only one; it has "
            f"{schema.to_string()}"
        )
    taken = set(schema.names) & set(ANSWERS.names)
    if taken:
        raise ConfigError(f"{path}: rename the column {min(taken)!r}, which the output has too")
    return file


def _is_list_of_texts(kind: pa.DataType) -> bool:
    if not any(is_kind(kind) for is_kind in _LISTS):
        return False
    value = kind.value_type
    if pa.types.is_dictionary(value):
        value = value.value_type
    return any(is_kind(value) for is_kind in _TEXTS)


def _stamp(
    path: Path,
    file: pq.ParquetFile,
    rows: int,
    version: str,
    question: QueryOptions,
    live: LiveItems,
) -> str:
    """Returns a hash of all that decides the content of the parts.

    That is the file, the bundle, the question and the live items.

    The file enters by its size, time of change and number of rows; `rows` is that of a part.
    `version` is the bundle's.
    """
    stat = path.stat()
    decides = (
        *(stat.st_size, stat.st_mtime_ns, file.metadata.num_rows, rows, version),
        *(question.k, question.mask_seen),
        *(sorted((name, sorted(each)) for name, each in question.allow.items())),
        live.fingerprint,
        "deny",
        *(sorted((name, sorted(each)) for name, each in question.deny.items())),
    )
    return hashlib.sha256(repr(decides).encode()).hexdigest()


def _missing(file: pq.ParquetFile, rows: int, parts: Parts, bar: ProgressBar) -> Iterator[Task]:
    """Yields the number and the histories of each part that is not stored yet.

    Advances `bar` by the histories of the stored parts.
    """
    for number, table in enumerate(_tables(file, rows)):
        if parts.path(number).exists():
            bar.advance(len(table))
        else:
            yield number, table


def _tables(file: pq.ParquetFile, rows: int) -> Iterator[pa.Table]:
    """Yields the rows of a file as tables of `rows` rows; the last can have fewer."""
    held: list[pa.RecordBatch] = []
    num_held = 0
    for batch in _batches(file, rows):
        held.append(batch)
        num_held += len(batch)
        while num_held >= rows:
            table = pa.Table.from_batches(held)
            yield table.slice(0, rows)
            held = table.slice(rows).to_batches()
            num_held -= rows
    if num_held:
        yield pa.Table.from_batches(held)


def _batches(file: pq.ParquetFile, rows: int) -> Iterator[pa.RecordBatch]:
    # One row group at a time: pyarrow cannot read dictionaries in lists from several at once.
    for group in range(file.num_row_groups):
        yield from file.iter_batches(rows, row_groups=[group])


def _empty(schema: pa.Schema) -> pa.Table:
    kept = [field for field in schema if field.name != HISTORY]
    return pa.schema([*kept, *ANSWERS]).empty_table()
