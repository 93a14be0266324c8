"""Reads interactions from the event log, and items from a table.

By default each session of the log is a user of the dataset, and each event is an interaction.
Events are ordered by timestamp and then by sequence, and users by their first events. A table of
the same interactions in this order, with `session_ref` as `user_id`, gives the same dataset.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from training.data.catalog import Catalog
from training.data.raw import RawData
from training.data.row_order import order_by_user
from training.data.sources.items_table import MissingTitles, read_items
from training.errors import DataError
from training.events.layout import DAY_MS, hour_of
from training.events.log_folder import LogFolder
from training.events.reading import Window, newest_hour_end, read_events
from training.settings.data import EventsConfig
from training.stage import fingerprint

_MS_A_MINUTE = 60_000
_SHOWN_ITEMS = 3  # maximum number of unknown items that a message shows

Say = Callable[[str], object]


def read_event_log(
    config: EventsConfig,
    items_path: Path,
    missing_titles: MissingTitles = "refuse",
    say: Say | None = None,
) -> RawData:
    """Reads the events that `config` selects, as interactions, and the table of items.

    Args:
        config: settings of the event log.
        items_path: table of items.
        missing_titles: "refuse" raises a DataError for an item without a title; "placeholder" gives
            it a title made from its id.
        say: function that is called with a message on what each filter leaves out; None for no
            messages.

    Raises:
        DataError: the log is damaged, the table is missing or malformed, or no event is left.
    """
    say = say or _keep_silent
    log = LogFolder(config.folder)
    catalog = read_items(items_path, missing_titles)
    events = _chosen(read_events(log, window_of(config, log)), config)
    events = _of_known_items(events, catalog, config, items_path, say)
    users = _users(events, config)
    if config.max_events_per_minute is not None:
        is_bot = _of_bots(users, _times(events), config.max_events_per_minute)
        say(_left_out(users, is_bot, config.max_events_per_minute))
        events, users = events.filter(pa.array(~is_bot)), users[~is_bot]
    if not len(events):
        raise DataError(f"{config.folder}: no event is left; check the settings of [data.events]")
    index_of = dict(catalog.index_by_id)
    return order_by_user(
        config.folder,
        catalog,
        users.tolist(),
        np.array([index_of[item] for item in events["item_id"].to_pylist()], dtype=np.int64),
        timestamps=_times(events),
    )


def events_stamp(config: EventsConfig) -> str:
    """Returns a fingerprint of `config` and of the files of the event log that it selects.

    A file's name contains a hash of its content. Compaction replaces files, and so changes the
    fingerprint, but not the events that are read.
    """
    log = LogFolder(config.folder)
    window = window_of(config, log)
    begin, end = (None if each is None else hour_of(each) for each in (window.begin, window.end))
    parts = log.parts("event", begin, None if end is None else end + 1)
    settings = config.model_dump(mode="json", exclude={"folder"})
    files = [each.path for each in (*parts, *log.parts("tombstone"))]
    return fingerprint(settings, window.begin, window.end, files)


def window_of(config: EventsConfig, log: LogFolder) -> Window:
    """Returns the window of time whose events `config` selects from `log`.

    It lies between `since` and `until`. With `last_days`, it begins that number of days before
    `until`; without `until`, before the end of the newest hour with an event.
    """
    end = None if config.until is None else round(config.until.timestamp() * 1000)
    begin = None if config.since is None else round(config.since.timestamp() * 1000)
    if config.last_days is not None:
        newest = newest_hour_end(log) if end is None else end
        begin = None if newest is None else round(newest - config.last_days * DAY_MS)
    return Window(begin, end)


def _chosen(events: pa.Table, config: EventsConfig) -> pa.Table:
    for column, chosen in (("event_type", config.types), ("tenant", config.tenants)):
        if chosen:
            values = pa.array(chosen, pa.large_string())
            events = events.filter(pc.is_in(events[column], values))
    return events


def _of_known_items(
    events: pa.Table, catalog: Catalog, config: EventsConfig, items_path: Path, say: Say
) -> pa.Table:
    known = pc.is_in(events["item_id"], pa.array(catalog.item_ids, pa.large_string()))
    unknown = events.filter(pc.invert(known))
    if not len(unknown):
        return events
    distinct = sorted(unknown["item_id"].unique().to_pylist())
    shown = ", ".join(map(repr, distinct[:_SHOWN_ITEMS]))
    problem = (
        f"{len(unknown):,} of {len(events):,} events name {len(distinct):,} items that are "
        f"not in {items_path}: {shown}{', …' if len(distinct) > _SHOWN_ITEMS else ''}"
    )
    if config.unknown_items == "refuse":
        raise DataError(f"{config.folder}: {problem}; add them to the table of items")
    say(f"left out: {problem}")
    return events.filter(known)


def _users(events: pa.Table, config: EventsConfig) -> NDArray[np.object_]:
    """Returns the dataset's user of each event, `[events]`.

    A user is a session or a user ref, as `config.user` says. With `session_gap_minutes`, a user's
    events are split at longer pauses, and each part counts as a separate user.
    """
    users = _refs(events, "session_ref")
    if config.user == "user":
        refs = _refs(events, "user_ref")
        user_of_session = _user_of_session(users, refs)
        users = np.array([user_of_session.get(each, each) for each in users], dtype=object)
    if config.session_gap_minutes is None:
        return users
    gap = round(config.session_gap_minutes * _MS_A_MINUTE)
    return _divided(users, _times(events), gap)


def _user_of_session(
    sessions: NDArray[np.object_], refs: NDArray[np.object_]
) -> dict[object, object]:
    """Maps each session with a user ref to its newest user ref.

    The user ref counts for all events of the session, since a visitor may log in late.

    Args:
        sessions: `[events]`, session ref of each event.
        refs: `[events]`, user ref of each event; missing if the visitor was not logged in.
    """
    identified = pd.notna(refs)
    return dict(zip(sessions[identified], refs[identified], strict=True))


def _divided(users: NDArray[np.object_], times: NDArray[np.int64], gap: int) -> NDArray[np.object_]:
    """Splits each user's events at pauses of more than `gap` ms; each part is a separate user.

    Each user's events must be ordered by time.

    Returns the new user of each event, `[events]`: `USER` before the first pause, then `USER#2`,
    `USER#3` and so on.
    """
    table = pd.DataFrame({"user": users, "time": times})
    is_new = table.groupby("user", sort=False)["time"].diff() > gap
    part = is_new.groupby(table["user"], sort=False).cumsum() + 1
    return np.array(
        [
            user if number == 1 else f"{user}#{number}"
            for user, number in zip(users, part, strict=True)
        ],
        dtype=object,
    )


def _of_bots(
    users: NDArray[np.object_], times: NDArray[np.int64], per_minute: int
) -> NDArray[np.bool_]:
    """Returns a mask of the events that come from bots, `[events]`.

    A bot is a user with more than `per_minute` events within any 60 s. `times` are in ms since
    1970, ascending for each user.
    """
    table = pd.DataFrame({"user": users, "time": times})
    waited = table.groupby("user", sort=False)["time"].diff(per_minute)
    bots = table["user"][waited < _MS_A_MINUTE].unique()
    return table["user"].isin(bots).to_numpy(np.bool_)


def _left_out(users: NDArray[np.object_], is_bot: NDArray[np.bool_], per_minute: int) -> str:
    return (
        f"data.events.max_events_per_minute = {per_minute} leaves out {len(set(users[is_bot])):,} "
        f"users with {int(is_bot.sum()):,} of {len(users):,} events"
    )


def _refs(events: pa.Table, name: str) -> NDArray[np.object_]:
    """Returns the session or user ref of each event, `[events]`; a missing one stays missing.

    Refs of the service differ between tenants, but other programs may send equal ones. Such a ref
    stands for a person of each tenant, so it gets the tenant in front.
    """
    if len(events["tenant"].unique()) <= 1:
        return np.asarray(events[name].to_numpy(), dtype=object)
    refs, tenants = (events[each].to_pylist() for each in (name, "tenant"))
    pairs = [*zip(refs, tenants, strict=True)]
    num_tenants = Counter(ref for ref, _ in set(pairs))
    named = [
        f"{tenant}/{ref}" if ref is not None and num_tenants[ref] > 1 else ref
        for ref, tenant in pairs
    ]
    return np.array(named, dtype=object)


def _times(events: pa.Table) -> NDArray[np.int64]:
    return np.asarray(events["timestamp"].to_numpy(), dtype=np.int64)


def _keep_silent(_: str) -> None:
    """Ignores a message; the default of `say`."""
