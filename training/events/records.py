"""Converts records from the service's streams and segments to tables of the event log."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from export.contract.log.events import Event, ImpressionRecord, Record, Tombstone
from training.events.layout import TIME_COLUMNS, Kind, hour_of
from training.events.schema import digest_of, table_of

_KINDS: Mapping[type[Record], Kind] = {
    Event: "event",
    ImpressionRecord: "impression",
    Tombstone: "tombstone",
}


def tables_by_partition(records: Iterable[Record]) -> dict[tuple[Kind, int], pa.Table]:
    """Converts records to one table per partition, keyed by kind and hour.

    The hour is in hours since 1970.
    """
    rows: dict[tuple[Kind, int], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        kind, row = _KINDS[type(record)], _row(record)
        rows[kind, hour_of(row[TIME_COLUMNS[kind]])].append(row)
    return {(kind, hour): table_of(kind, of_hour) for (kind, hour), of_hour in rows.items()}


def _row(record: Record) -> dict[str, Any]:
    row = record._asdict()
    if isinstance(record, Tombstone):
        refs = {name: row.pop(name) for name in ("session_ref", "user_ref")}
        row["erased"] = digest_of(row.pop("tenant"), **refs)
    return row
