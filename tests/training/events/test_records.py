"""Records of the service become rows of the log, by the rules of the contract."""

from itertools import product

import pyarrow as pa
import pytest

from export.contract.log.events import Event, ImpressionRecord, Tombstone
from training.events.erasure import deadlines_of, is_erased, with_sessions_of_users
from training.events.layout import HOUR_MS, Kind
from training.events.records import tables_by_partition
from training.events.schema import SCHEMAS

EVENT = Event(1, "e", "t", "s", "click", "a", 1, 2, 1.5, "r", "u", 7)
IMPRESSION = ImpressionRecord(
    1, "r", "t", "s", HOUR_MS, ["a", "b"], "m", "v", "student", False, "", 8
)


def test_the_columns_of_the_log_are_the_fields_of_the_contract() -> None:
    assert tuple(SCHEMAS["event"].names) == Event._fields
    assert tuple(SCHEMAS["impression"].names) == ImpressionRecord._fields


def test_records_are_divided_by_kind_and_hour() -> None:
    later = EVENT._replace(timestamp=HOUR_MS)

    tables = tables_by_partition([EVENT, IMPRESSION, later])

    assert {key: len(table) for key, table in tables.items()} == {
        ("event", 0): 1,
        ("impression", 1): 1,
        ("event", 1): 1,
    }
    assert Event(**tables["event", 0].to_pylist()[0]) == EVENT
    assert ImpressionRecord(**tables["impression", 1].to_pylist()[0]) == IMPRESSION


@pytest.mark.parametrize("kind", ["event", "impression"])
def test_a_tombstone_of_a_session_erases_all_of_it_but_what_is_later(kind: Kind) -> None:
    records: list[Event | ImpressionRecord] = []
    keys = list(product("tx", "sy", (4, 5, 6), (4, 5, 6)))
    for tenant, ref, at, number in keys:
        if kind == "event":
            event = EVENT._replace(tenant=tenant, session_ref=ref, timestamp=at, received_at=at)
            records.append(event._replace(sequence=number))
        else:
            shown = IMPRESSION._replace(tenant=tenant, session_ref=ref, shown_at=at)
            records.append(shown._replace(sequence=number))
    tombstone = Tombstone(1, "t", "s", None, at=5, sequence=5)
    table = pa.concat_tables(tables_by_partition(records).values())
    deadlines = deadlines_of(tables_by_partition([tombstone])["tombstone", 0])

    # Of the nine records of the session, one is later by both measures. One more event is later by
    # its place, in the millisecond of the tombstone.
    later = {"event": [(6, 6), (5, 6)], "impression": [(6, 6)]}[kind]
    expected = [key[:2] == ("t", "s") and key[2:] not in later for key in keys]
    assert is_erased(kind, table, deadlines).tolist() == expected


@pytest.mark.parametrize("refs", [("s", None), (None, "u")], ids=["session", "user"])
def test_no_tombstone_erases_an_impression_without_a_session(
    refs: tuple[str | None, str | None],
) -> None:
    (table,) = tables_by_partition([IMPRESSION._replace(session_ref=None, shown_at=1)]).values()
    tombstone = tables_by_partition([Tombstone(1, "t", *refs, at=5, sequence=9)])["tombstone", 0]

    assert not is_erased("impression", table, deadlines_of(tombstone)).any()


def test_a_tombstone_of_a_user_erases_the_events_and_the_sessions_of_the_user() -> None:
    records = [
        EVENT._replace(received_at=at, sequence=at, user_ref=user, session_ref=ref)
        for at, user, ref in product((4, 6), ("u", "w", None), ("s", "y"))
    ]
    records.append(EVENT._replace(received_at=5, sequence=7, user_ref="u", session_ref="s"))
    tombstone = Tombstone(1, "t", None, "u", at=5, sequence=5)
    table = pa.concat_tables(tables_by_partition(records).values())
    deadlines = with_sessions_of_users(
        deadlines_of(tables_by_partition([tombstone])["tombstone", 0]), table
    )

    erased = is_erased("event", table, deadlines)

    assert [each.received_at for each, gone in zip(records, erased, strict=True) if gone] == [
        *[4] * 6,
        5,  # in the millisecond of the tombstone, though after it in the log
    ]
