"""Interactions from the event log: the same dataset as from a table, and what is left out."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from tests.training.event_log import event, tombstone, write
from training.data.build import build_dataset
from training.data.raw import RawData
from training.data.sources.event_log import read_event_log
from training.data.sources.opening import source_stamps
from training.errors import DataError
from training.events.log_folder import LogFolder
from training.settings.data import DataConfig, EventsConfig

MINUTE, DAY = 60_000, 86_400_000


@pytest.fixture
def items(tmp_path: Path) -> Path:
    path = tmp_path / "items.csv"
    path.write_text("item_id,title\na,Alien\nb,Brazil\nc,Clue\n")
    return path


@pytest.fixture
def log(tmp_path: Path) -> LogFolder:
    return LogFolder(str(tmp_path / "log"))


def read(log: LogFolder, items: Path, **settings: Any) -> RawData:
    return read_event_log(EventsConfig(folder=log.address, **settings), items)


def test_the_same_interactions_as_a_table_give_the_same_fingerprint(
    tmp_path: Path, log: LogFolder, items: Path
) -> None:
    rows = [(f"v1.{'bca'[moment % 3]}", "abc"[moment * 7 % 3], moment // 2) for moment in range(60)]
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    table.to_csv(tmp_path / "interactions.csv", index=False)
    events = [event(*row, event_id=str(number), sequence=number) for number, row in enumerate(rows)]
    for begin in (40, 0, 15):  # files overlap, and come in any order
        write(log, "event", events[begin : begin + 25])

    from_table = build_dataset(
        "x",
        DataConfig(source="tables", interactions=tmp_path / "interactions.csv", items=items),
    )
    from_log = build_dataset(
        "x",
        DataConfig(source="events", events=EventsConfig(folder=log.address), items=items),
    )

    assert from_log.user_ids[:2] == ("v1.b", "v1.c")
    assert from_log.fingerprint == from_table.fingerprint


@pytest.mark.parametrize("user", ["session", "user"])
def test_equal_refs_of_two_tenants_are_two_users(log: LogFolder, items: Path, user: str) -> None:
    others = {"tenant": "other", "user_ref": "u", "sequence": 9}
    write(log, "event", [event("ann", "a", 1, user_ref="u"), event("ann", "b", 2, **others)])
    write(log, "event", [event("bob", "c", 3)])

    users = read(log, items, user=user).user_ids

    ref = "u" if user == "user" else "ann"
    assert users == (f"default/{ref}", f"other/{ref}", "bob")


def test_an_erased_session_is_not_in_the_dataset(log: LogFolder, items: Path) -> None:
    write(log, "event", [event("ann", "a", 1), event("bob", "a", 2)])
    write(log, "tombstone", [tombstone(5, session_ref="ann")])

    assert read(log, items).user_ids == ("bob",)


def test_only_events_of_chosen_types_and_tenants_are_interactions(
    log: LogFolder, items: Path
) -> None:
    write(
        log,
        "event",
        [
            event("ann", "a", 1, event_type="view"),
            event("ann", "b", 2, event_type="click"),
            event("bob", "c", 3, event_type="click", tenant="shop"),
        ],
    )

    raw = read(log, items, types=["click", "purchase"], tenants=["shop"])

    assert raw.user_ids == ("bob",)


def test_since_and_until_bound_the_window(log: LogFolder, items: Path) -> None:
    write(log, "event", [event("ann", "a", second * 1000) for second in range(5)])

    raw = read(log, items, since="1970-01-01T00:00:01", until="1970-01-01T00:00:03Z")

    assert raw.timestamps is not None
    assert raw.timestamps.tolist() == [1000, 2000]


def test_the_last_days_count_back_from_the_newest_hour(log: LogFolder, items: Path) -> None:
    hour = 60 * MINUTE
    times = [10 * DAY, 10 * DAY + hour - 1, 10 * DAY + hour, 11 * DAY + 5]
    write(log, "event", [event("ann", "a", time) for time in times])

    raw = read(log, items, last_days=1)  # the newest hour ends at 01:00 of day 11

    assert raw.timestamps is not None
    assert raw.timestamps.tolist() == times[2:]


def test_a_gap_divides_a_session(log: LogFolder, items: Path) -> None:
    times = [0, 30 * MINUTE, 60 * MINUTE + 1, 200 * MINUTE]
    write(log, "event", [event("ann", "a", time) for time in times])
    write(log, "event", [event("bob", "a", 1)])

    raw = read(log, items, session_gap_minutes=30)

    assert raw.user_ids == ("ann", "bob", "ann#2", "ann#3")
    assert raw.users.tolist() == [0, 0, 1, 2, 3]


def test_a_user_with_too_many_events_in_a_minute_is_left_out(log: LogFolder, items: Path) -> None:
    robot = [event("robot", "a", 19_999 * number) for number in range(4)]
    human = [event("human", "a", 20_000 * number) for number in range(4)]
    write(log, "event", robot + human)
    said: list[str] = []

    config = EventsConfig(folder=log.address, max_events_per_minute=3)
    raw = read_event_log(config, items, say=said.append)

    assert raw.user_ids == ("human",)
    assert said == ["data.events.max_events_per_minute = 3 leaves out 1 users with 4 of 8 events"]


def test_the_sessions_of_one_person_can_be_one_user(log: LogFolder, items: Path) -> None:
    write(
        log,
        "event",
        [
            event("phone", "a", 1),  # before the visitor logs in
            event("phone", "b", 2, user_ref="u"),
            event("laptop", "c", 3, user_ref="u"),
            event("other", "c", 4),
        ],
    )

    raw = read(log, items, user="user")

    assert raw.user_ids == ("u", "other")
    assert raw.item_indices.tolist() == [1, 2, 3, 3]


def test_events_of_unknown_items_are_left_out_with_a_message(log: LogFolder, items: Path) -> None:
    write(log, "event", [event("ann", "a", 1), event("ann", "z", 2)])
    said: list[str] = []

    raw = read_event_log(EventsConfig(folder=log.address), items, say=said.append)

    assert raw.item_indices.tolist() == [1]
    assert said == [f"left out: 1 of 2 events name 1 items that are not in {items}: 'z'"]


def test_events_of_unknown_items_can_be_refused(log: LogFolder, items: Path) -> None:
    write(log, "event", [event("ann", "z", 2)])

    with pytest.raises(DataError, match=r"'z'; add them to the table of items"):
        read(log, items, unknown_items="refuse")


def test_a_window_without_events_is_an_error(log: LogFolder, items: Path) -> None:
    with pytest.raises(DataError, match=r"no event is left; check the settings of \[data.events\]"):
        read(log, items)


def test_the_stamp_changes_with_a_new_file_in_the_window(log: LogFolder, items: Path) -> None:
    until = "1970-01-02T00:00"
    config = DataConfig(
        source="events", items=items, events=EventsConfig(folder=log.address, until=until)
    )
    write(log, "event", [event("ann", "a", 1)])
    stamps = [source_stamps(config)]
    write(log, "event", [event("ann", "a", 3 * DAY)])
    stamps.append(source_stamps(config))
    write(log, "event", [event("ann", "a", 2)])
    stamps.append(source_stamps(config))

    assert stamps[0] == stamps[1] != stamps[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "events"}, "needs data.items and a section"),
        ({"source": "events", "events": {"folder": "x"}}, "needs data.items and a section"),
        (
            {"source": "tables", "events": {"folder": "x"}},
            r"\[data.events\] needs data.source = 'events'",
        ),
        (
            {"source": "events", "items": "i", "interactions": "x", "events": {"folder": "x"}},
            "takes no data.interactions",
        ),
        (
            {
                "source": "events",
                "items": "i",
                "events": {"folder": "x", "since": "2020-01-01", "last_days": 3},
            },
            "since is given too",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig.model_validate(settings)
