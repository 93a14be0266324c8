"""Counts what became of the lists that were shown: clicks, conversions, value, next-item hits.

An event belongs to a list if it names the list's id and an item of the list. Besides, without any
id, a list is a *hit* if it has the item of the session's next event.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from export.contract.log.live_figures import MAX_PLACES, LiveFigures

_LIST = ["tenant", "recommendation_id"]
_SESSION = ["tenant", "session_ref"]
_GROUP = ["variant", "model_version", "source"]


@dataclass(frozen=True)
class Outcomes:
    """The event types that count.

    Attributes:
        clicks: types that count as a click; None: all.
        conversions: types that count as a conversion.
    """

    clicks: Sequence[str] | None = None
    conversions: Sequence[str] = ("purchase",)


def live_figures(
    events: pa.Table, impressions: pa.Table, outcomes: Outcomes = Outcomes()
) -> list[LiveFigures]:
    """Returns the figures of each variant, model version and source, in their order.

    Args:
        events: the columns of events, each event once.
        impressions: the columns of impressions, each impression once.
        outcomes: which event types count.
    """
    shown, happened = impressions.to_pandas(), events.to_pandas()
    lists = shown[[*_LIST, *_GROUP]].copy()
    attributed = _attributed(happened, shown)
    is_click = pd.Series(True, index=attributed.index)
    if outcomes.clicks is not None:
        is_click = attributed["event_type"].isin(outcomes.clicks)
    is_conversion = attributed["event_type"].isin(outcomes.conversions)
    by_list = attributed["list"]
    lists["clicked"] = lists.index.isin(by_list[is_click])
    lists["converted"] = lists.index.isin(by_list[is_conversion])
    lists["value"] = attributed.groupby("list")["value"].sum().reindex(lists.index).fillna(0.0)
    lists["next_item"] = _next_items(happened, shown)
    lists["is_followed"] = lists["next_item"].notna()
    lists["is_hit"] = [
        item in items for item, items in zip(lists["next_item"], shown["items"], strict=True)
    ]
    places = attributed[is_click].groupby("list")["place"].apply(list)
    return [_figures(key, group, places) for key, group in lists.groupby(_GROUP, sort=True)]


def _attributed(events: pd.DataFrame, shown: pd.DataFrame) -> pd.DataFrame:
    """Returns the events that name a list and an item of it, with the list's row and the place."""
    lists = shown[[*_LIST, "items"]].assign(list=shown.index)
    named = events.dropna(subset=["recommendation_id"]).merge(lists, on=_LIST)
    places = [
        list(items).index(item) + 1 if item in items else 0
        for items, item in zip(named["items"], named["item_id"], strict=True)
    ]
    named = named.assign(place=pd.Series(places, index=named.index, dtype="int64"))
    return named[named["place"] > 0]


def _next_items(events: pd.DataFrame, shown: pd.DataFrame) -> pd.Series:
    """Returns the item of the next event of each list's session, by the list's row."""
    with_session = shown.dropna(subset=["session_ref"])
    lists = with_session[[*_SESSION, "shown_at"]].assign(list=with_session.index)
    next_events = pd.merge_asof(
        lists.sort_values("shown_at", kind="stable"),
        events[[*_SESSION, "received_at", "item_id"]].sort_values("received_at", kind="stable"),
        left_on="shown_at",
        right_on="received_at",
        by=_SESSION,
        direction="forward",
        allow_exact_matches=False,  # the list of an event is shown in the same millisecond or later
    )
    return next_events.set_index("list")["item_id"].reindex(shown.index)


def _figures(key: Sequence[str], group: pd.DataFrame, places: pd.Series) -> LiveFigures:
    by_place = [0] * MAX_PLACES
    for of_list in places[places.index.isin(group.index)]:
        for place in of_list:
            by_place[min(place, MAX_PLACES) - 1] += 1
    variant, model_version, source = key
    return LiveFigures(
        variant=variant,
        model_version=model_version,
        source=source,
        impressions=len(group),
        clicked=int(group["clicked"].sum()),
        converted=int(group["converted"].sum()),
        value=float(group["value"].sum()),
        value_squares=float((group["value"] ** 2).sum()),
        clicks_by_place=by_place,
        followed=int(group["is_followed"].sum()),
        hits=int(group["is_hit"].sum()),
    )
