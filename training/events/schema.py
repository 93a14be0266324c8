"""Columns of the Parquet files of the event log.

The columns of events and impressions are the fields of `Event` and `ImpressionRecord` in
`export.contract.log.events`. A tombstone has only a digest of the session or user that it erases.
Once a compaction has erased their records, the log no longer names the session or user.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from training.events.layout import Kind

SCHEMA_VERSION = 1

_TEXT = pa.large_string()  # an array of `pa.string()` holds 2 GiB at most
_REQUIRED_TEXT = {"type": _TEXT, "nullable": False}
_WHOLE = {"type": pa.int64(), "nullable": False}

SCHEMAS: Mapping[Kind, pa.Schema] = {
    "event": pa.schema(
        [
            pa.field("schema", pa.uint8(), nullable=False),
            pa.field("event_id", **_REQUIRED_TEXT),
            pa.field("tenant", **_REQUIRED_TEXT),
            pa.field("session_ref", **_REQUIRED_TEXT),
            pa.field("event_type", **_REQUIRED_TEXT),
            pa.field("item_id", **_REQUIRED_TEXT),
            pa.field("timestamp", **_WHOLE),
            pa.field("received_at", **_WHOLE),
            pa.field("value", pa.float64()),
            pa.field("recommendation_id", _TEXT),
            pa.field("user_ref", _TEXT),
            pa.field("sequence", **_WHOLE),
        ]
    ),
    "impression": pa.schema(
        [
            pa.field("schema", pa.uint8(), nullable=False),
            pa.field("recommendation_id", **_REQUIRED_TEXT),
            pa.field("tenant", **_REQUIRED_TEXT),
            pa.field("session_ref", _TEXT),
            pa.field("shown_at", **_WHOLE),
            pa.field("items", pa.large_list(_TEXT), nullable=False),
            pa.field("variant", **_REQUIRED_TEXT),
            pa.field("model_version", **_REQUIRED_TEXT),
            pa.field("source", **_REQUIRED_TEXT),
            pa.field("degraded", pa.bool_(), nullable=False),
            pa.field("filters", **_REQUIRED_TEXT),
            pa.field("sequence", **_WHOLE),
        ]
    ),
    "tombstone": pa.schema(
        [
            pa.field("schema", pa.uint8(), nullable=False),
            pa.field("erased", **_REQUIRED_TEXT),
            pa.field("at", **_WHOLE),
            pa.field("sequence", **_WHOLE),
        ]
    ),
}
"""Columns of the files by kind; `erased` holds a digest, see `digest_of`."""

USER = "user:"
"""Prefix of a user's digest."""

_IDENTITIES: Mapping[Kind, Sequence[str]] = {
    "event": ("tenant", "session_ref", "event_id"),
    "impression": ("tenant", "recommendation_id"),
    "tombstone": ("erased", "at", "sequence"),
}
_ORDERS: Mapping[Kind, Sequence[str]] = {
    "event": ("timestamp", "sequence", "tenant", "session_ref", "event_id"),
    "impression": ("shown_at", "sequence", "tenant", "recommendation_id"),
    "tombstone": ("at", "sequence", "erased"),
}


def digest_of(tenant: str, *, session_ref: str | None = None, user_ref: str | None = None) -> str:
    """Returns the digest that names a tenant's session or user in tombstones.

    It is `session:` or `user:`, followed by the SHA-256 of tenant, NUL and ref in hexadecimal
    digits. Exactly one of `session_ref` and `user_ref` must be given.
    """
    kind, ref = (USER, user_ref) if session_ref is None else ("session:", session_ref)
    return kind + hashlib.sha256(f"{tenant}\0{ref}".encode("utf-8", "surrogatepass")).hexdigest()


def in_order(kind: Kind, records: pa.Table, *, joins_entries: bool = True) -> pa.Table:
    """Returns the records in the order of the log, each once.

    Records are ordered by time (`timestamp`, `shown_at` or `at`) and then by sequence. Of several
    copies, the first is kept.

    Args:
        kind: kind of the records.
        records: table with the columns of this kind.
        joins_entries: whether records with the same identity are copies even if their sequences
            differ. False keeps such records, since a later tombstone may erase only one of them.
    """
    ordered = records.sort_by([(name, "ascending") for name in _ORDERS[kind]])
    numbered = ordered.append_column("row", pa.array(range(len(ordered)), pa.int64()))
    identity = {*_IDENTITIES[kind], *([] if joins_entries else ["sequence"])}
    first = numbered.group_by(sorted(identity)).aggregate([("row", "min")])
    if len(first) == len(ordered):
        return ordered
    return ordered.take(first["row_min"].combine_chunks().sort())


def table_of(kind: Kind, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Converts rows, mappings by column name, to a table with the columns of `kind`."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMAS[kind])
