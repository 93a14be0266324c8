"""Rows of an event log, and their files, for tests."""

from collections.abc import Sequence
from typing import Any

from training.events.layout import TIME_COLUMNS, Kind, hour_of
from training.events.log_folder import LogFolder
from training.events.schema import digest_of, table_of

EVENT = {
    "schema": 1,
    "tenant": "default",
    "event_type": "click",
    "value": None,
    "recommendation_id": None,
    "user_ref": None,
}
IMPRESSION = {
    "schema": 1,
    "tenant": "default",
    "items": ["a", "b"],
    "variant": "main",
    "model_version": "v",
    "source": "student",
    "degraded": False,
    "filters": "",
}


def event(session_ref: str, item_id: str, timestamp: int, **fields: Any) -> dict[str, Any]:
    """A row of an event; its id, time of receipt and sequence follow from the others."""
    given = {
        "event_id": f"{session_ref}-{timestamp}",
        "session_ref": session_ref,
        "item_id": item_id,
        "timestamp": timestamp,
        "received_at": timestamp,
        "sequence": timestamp,
    }
    return EVENT | given | fields


def write(log: LogFolder, kind: Kind, rows: Sequence[dict[str, Any]]) -> None:
    """Writes rows into the partitions of their times."""
    column = TIME_COLUMNS[kind]
    for hour in {hour_of(row[column]) for row in rows}:
        of_hour = [row for row in rows if hour_of(row[column]) == hour]
        log.write(kind, hour, table_of(kind, of_hour))


def impression(recommendation_id: str, session_ref: str | None, shown_at: int) -> dict[str, Any]:
    """A row of an impression of the items a and b."""
    return IMPRESSION | {
        "recommendation_id": recommendation_id,
        "session_ref": session_ref,
        "shown_at": shown_at,
        "sequence": shown_at,
    }


def tombstone(at: int, tenant: str = "default", **ref: str) -> dict[str, Any]:
    """A row of a tombstone of the session or the user that `ref` names."""
    return {"schema": 1, "erased": digest_of(tenant, **ref), "at": at, "sequence": at}
