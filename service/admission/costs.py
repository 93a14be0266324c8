"""Estimates the cost of requests in units, from the sizes of body, catalog and filters."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

Kind = Literal["free", "light", "heavy", "teacher", "admin", "bulk"]
"""The kind of a route, by what its requests keep busy.

- `free`: almost nothing; such a request is never refused.
- `light`: the event loop.
- `heavy`: a thread.
- `teacher`: the teacher.
- `admin`: the bundles or the added items.
- `bulk`: the added items and edits, after a thread.
"""

TURN_KINDS: Collection[Kind] = ("heavy", "teacher", "bulk")
"""The kinds that need a turn of heavy work.

A teacher request needs one to ask the student, a bulk request to parse its body.
"""

ADMIN_KINDS: Collection[Kind] = ("admin", "bulk")
"""The kinds whose routes all need the scope *admin*."""

MAX_LIGHT_BODY_BYTES = 32 << 10
"""Maximum number of bytes in the body of a light request; a longer body makes it heavy."""

MAX_QUERIES = 64
"""Maximum number of queries in a batch."""

MAX_EVENTS = 1_000
"""Maximum number of events in one request."""

MAX_CHANGES = 10_000
"""Maximum number of items in a bulk request."""

_BYTES_PER_UNIT = 8 << 10
_MIN_QUERY_BYTES = 20  # `{"session_id":"a"},`
_MIN_EVENT_BYTES = 34  # `{"session_id":"a","item_id":"b"},`
_EVENTS_PER_UNIT = 4
_MIN_CHANGE_BYTES = 31  # `{"item_id":"a","removed":true},`
_CHANGES_PER_UNIT = 100
_ITEMS_PER_UNIT = 2_000
_STEPS_PER_UNIT = 200_000
_RULED_ITEMS_PER_UNIT = 5_000
_SEARCHED_ITEMS_PER_UNIT = 500
_SCORED_ITEMS_PER_UNIT = 50_000
_POOL_PER_UNIT = 100
_COUNTED_ITEMS_PER_UNIT = 500
_MARKED_ITEMS_PER_UNIT = 500_000


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a route's requests, which decides how they are admitted.

    Attributes:
        kind: the kind of the route.
        units: function that returns the units of a heavy request. Its arguments are the number of
            bytes in the body and the number of items in the catalog.
        is_limited: whether the requests count towards the limits of their keys.
    """

    kind: Kind
    units: Callable[[int, int], int] = lambda length, num_items: 1 + body_units(length)  # noqa: ARG005
    is_limited: bool = True


def kind_of(kind: Kind, length: int) -> Kind:
    """Returns the kind of a request, from its route's kind and the number of bytes in its body.

    A request to a light route is heavy if its body is longer than MAX_LIGHT_BODY_BYTES, because
    parsing it would block the event loop.
    """
    return "heavy" if kind == "light" and length > MAX_LIGHT_BODY_BYTES else kind


def body_units(length: int) -> int:
    """Returns the units of parsing a body of `length` bytes."""
    return length // _BYTES_PER_UNIT


def batch_units(length: int, _: int) -> int:
    """Returns the maximum units of a batch request with a body of `length` bytes.

    This is the cost of as many queries as fit into the body.
    """
    return 1 + min(MAX_QUERIES, length // _MIN_QUERY_BYTES) // 2 + body_units(length)


def event_units(length: int, _: int) -> int:
    """Returns the maximum units of a request to store events with a body of `length` bytes.

    This is the cost of as many events as fit into the body.
    """
    return 1 + min(MAX_EVENTS, length // _MIN_EVENT_BYTES) // _EVENTS_PER_UNIT + body_units(length)


def change_units(length: int, _: int) -> int:
    """Returns the maximum units of a request to change items with a body of `length` bytes.

    This is the cost of as many changes as fit into the body.
    """
    num_changes = min(MAX_CHANGES, length // _MIN_CHANGE_BYTES)
    return 1 + num_changes // _CHANGES_PER_UNIT + body_units(length)


def catalog_units(_: int, num_items: int) -> int:
    """Returns the units of a request that reads every item of the catalog."""
    return 1 + num_items // _ITEMS_PER_UNIT


def filter_units(num_steps: int) -> int:
    """Returns the units that a query's filters cost on top of a light request.

    `num_steps`: number of mask entries that the filters write.
    """
    return num_steps // _STEPS_PER_UNIT


def scoring_units(num_items: int) -> int:
    """Returns the units of scoring all items of a catalog, on top of a light request."""
    return 1 + num_items // _SCORED_ITEMS_PER_UNIT


def ranking_units(num_counted: int, num_items: int) -> int:
    """Returns the units of ranking items by their events in a window, on top of a light request.

    Args:
        num_counted: number of items that have events.
        num_items: number of items in the catalog.
    """
    return num_counted // _COUNTED_ITEMS_PER_UNIT + num_items // _MARKED_ITEMS_PER_UNIT


def rule_units(num_items: int, pool: int, *, searches: bool) -> int:
    """Returns the units that a query's rules cost on top of a light request.

    Args:
        num_items: number of items in the catalog.
        pool: number of items among which diversity chooses; 0 without diversity.
        searches: whether the rules have boosts or limits, for which the catalog may be searched
            several times.
    """
    items_per_unit = _SEARCHED_ITEMS_PER_UNIT if searches else _RULED_ITEMS_PER_UNIT
    return num_items // items_per_unit + pool // _POOL_PER_UNIT
