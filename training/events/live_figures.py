"""Counts the outcomes of the lists that were shown: clicks, conversions, value, next-item hits.

An event belongs to a list if it names the list's id and an item of the list. A list is a *hit* if
it has the item of the session's next event, whether or not this event names the list.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from export.contract.log.events import MAX_VALUE
from export.contract.log.live_figures import MAX_PLACES, LiveFigures

_Session = tuple[str, str]
"""Tenant and session ref."""


@dataclass(frozen=True)
class Outcomes:
    """The event types that count as clicks and as conversions.

    Attributes:
        clicks: types that count as a click; None for all types.
        conversions: types that count as a conversion.
    """

    clicks: Sequence[str] | None = None
    conversions: Sequence[str] = ("purchase",)


@dataclass(slots=True)
class _List:
    """A list that was shown, with its clicks, conversion, value and the session's next item."""

    items: Sequence[str]
    is_converted: bool = False
    value: float = 0.0
    clicked_places: list[int] = field(default_factory=list)
    next_item: str | None = None


def live_figures(
    events: pa.Table, impressions: pa.Table, outcomes: Outcomes = Outcomes()
) -> list[LiveFigures]:
    """Returns the live figures by variant, model version and source, sorted by these three.

    Args:
        events: table of events, each event once.
        impressions: table of impressions, each impression once.
        outcomes: event types that count as clicks and as conversions.
    """
    next_item = _next_items(events)
    lists: dict[tuple[str, str], _List] = {}
    groups: dict[tuple[str, str, str], list[_List]] = defaultdict(list)
    for each in _rows(impressions):
        shown = _List(each["items"], next_item=next_item(each))
        lists[each["tenant"], each["recommendation_id"]] = shown
        groups[each["variant"], each["model_version"], each["source"]].append(shown)
    for event in _rows(events):
        found = lists.get((event["tenant"], event["recommendation_id"]))
        if found is not None and event["item_id"] in found.items:
            _attribute(event, found, outcomes)
    return [_figures(*key, groups[key]) for key in sorted(groups)]


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches():
        yield from batch.to_pylist()


def _attribute(event: Mapping[str, Any], shown: _List, outcomes: Outcomes) -> None:
    event_type = event["event_type"]
    value = event["value"] or 0.0
    if abs(value) <= MAX_VALUE:  # older services accepted larger values
        shown.value += value
    if event_type in outcomes.conversions:
        shown.is_converted = True
    if outcomes.clicks is None or event_type in outcomes.clicks:
        shown.clicked_places.append(shown.items.index(event["item_id"]))


def _next_items(events: pa.Table) -> Callable[[Mapping[str, Any]], str | None]:
    """Returns a function that maps an impression to the item of the session's next event, or None.

    The next event is the first one that was received after the millisecond in which the list was
    shown. So the event that prompted the list is not counted.
    """
    received: dict[_Session, list[tuple[int, int, str]]] = defaultdict(list)
    columns = ["tenant", "session_ref", "received_at", "sequence", "item_id"]
    for each in _rows(events.select(columns)):
        session = each["tenant"], each["session_ref"]
        received[session].append((each["received_at"], each["sequence"], each["item_id"]))
    for of_session in received.values():
        of_session.sort()

    def next_item(impression: Mapping[str, Any]) -> str | None:
        of_session = received.get((impression["tenant"], impression["session_ref"]), [])
        place = bisect_right(of_session, impression["shown_at"], key=lambda each: each[0])
        return of_session[place][2] if place < len(of_session) else None

    return next_item


def _figures(variant: str, model_version: str, source: str, lists: Sequence[_List]) -> LiveFigures:
    by_place = [0] * MAX_PLACES
    for each in lists:
        for place in each.clicked_places:
            by_place[min(place, MAX_PLACES - 1)] += 1
    followed = [each for each in lists if each.next_item is not None]
    return LiveFigures(
        variant=variant,
        model_version=model_version,
        source=source,
        impressions=len(lists),
        clicked=sum(bool(each.clicked_places) for each in lists),
        converted=sum(each.is_converted for each in lists),
        value=sum(each.value for each in lists),
        value_squares=sum(each.value**2 for each in lists),
        clicks_by_place=by_place,
        followed=len(followed),
        hits=sum(each.next_item in each.items for each in followed),
    )
