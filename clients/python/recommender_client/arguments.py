"""Arguments of the functions in `questions`, as typed dictionaries."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

Attributes = Mapping[str, Sequence[str]]
"""Values by name of the attribute, such as `{"genres": ["Comedy", "Drama"]}`."""

PopularityWindow = Literal["1h", "6h", "24h", "7d", "30d"]
"""Time until now in which events are counted."""

PopularityOrder = Literal["popular", "trending"]
"""By what items are ordered: their events, or the growth of their share of all events."""


class Filters(TypedDict, total=False):
    """Arguments that decide how many and which items may be recommended.

    Attributes:
        k: number of items; 20 by default, at most the service's MAX_K.
        exclude: ids of items that must not be recommended.
        allow: attributes that a recommended item must have: at least one of the values listed for
            each attribute.
        deny: attributes that a recommended item must not have: none of the values listed.
        mask_seen: whether items of the history are left out; True by default.
    """

    k: int
    exclude: Sequence[str]
    allow: Attributes
    deny: Attributes
    mask_seen: bool


class Query(Filters, total=False):
    """Arguments of a recommendation; `history`, `session_id` or both are required.

    Attributes:
        history: item ids, oldest first.
        session_id: session whose stored history is read; `history` is appended to it.
        consent: whether the user agrees that the answer is logged; True by default. The history of
            the session is read either way.
    """

    history: Sequence[str]
    session_id: str
    consent: bool


class Boost(TypedDict, total=False):
    """Numbers that are added to scores; an item gets the sum of all that it matches.

    Attributes:
        items: number by item id.
        attributes: number by attribute and value, such as `{"genres": {"Comedy": 0.7}}`.
    """

    items: Mapping[str, float]
    attributes: Mapping[str, Mapping[str, float]]


class Pin(TypedDict):
    """A pinned item and its place in the list; the first place is 1."""

    item_id: str
    position: int


class Rules(TypedDict, total=False):
    """Arguments that choose among the items that the filters leave.

    Attributes:
        candidates: ids of the only items that may be recommended.
        boost: numbers that are added to scores.
        pin: items at fixed places.
        max_per: largest number of items with the same value, by attribute.
        diversity: 0 by default: by score only; 1: each item as different as possible from those
            before it.
        min_score: items with a lower score, boosts included, are left out.
    """

    candidates: Sequence[str]
    boost: Boost
    pin: Sequence[Pin]
    max_per: Mapping[str, int]
    diversity: float
    min_score: float


class RuledQuery(Query, Rules, total=False):
    """Arguments of a recommendation with rules; `history`, `session_id` or both are required."""


class SimilarQuery(Rules, total=False):
    """Arguments that decide how many and which similar items are returned; see `Filters`."""

    k: int
    exclude: Sequence[str]
    allow: Attributes
    deny: Attributes


class PopularQuery(SimilarQuery, total=False):
    """Arguments that decide how many and which popular items are returned; see `SimilarQuery`.

    Attributes:
        window: time until now in which events are counted; without it, the interactions in the
            training data are ordered.
        order: `trending` puts items with the largest growth first, and needs a window.
        event_type: the only type of events that counts; by default, all that histories have.
    """

    window: PopularityWindow
    order: PopularityOrder
    event_type: str


class ExplainedQuery(RuledQuery, total=False):
    """Arguments of a recommendation that may include reasons.

    Attributes:
        explain: whether each recommended item has `reasons`, the items of the history that it is
            recommended for; False by default.
    """

    explain: bool


class _Event(TypedDict):
    item_id: str


class Event(_Event, total=False):
    """Arguments of an event; `item_id` is required.

    Attributes:
        item_id: id of the item, which may be missing from the catalog.
        event_id: id of the event, chosen by you. If an event is sent again with the same id, it is
            stored only once.
        event_type: one of the service's EVENT_TYPES; the first of them by default.
        timestamp: time of the event in milliseconds since 1970; now by default.
        value: a number to be summed up, such as the price of a purchase, from -1e12 to
            1e12.
        user_id: id of the user, whose sessions are joined in training and erased together.
        recommendation_id: `recommendation_id` of the answer that showed the item.
        consent: whether the user agrees to be remembered; True by default. If False, no history is
            read or stored, and items are recommended after `item_id` only.
    """

    event_id: str
    event_type: str
    timestamp: int
    value: float
    user_id: str
    recommendation_id: str
    consent: bool


class _SessionEvent(_Event):
    session_id: str


class SessionEvent(_SessionEvent, Event, total=False):
    """An event with its session; `session_id` and `item_id` are required."""


class _NewItem(TypedDict):
    item_id: str
    title: str


class NewItem(_NewItem, total=False):
    """Arguments of an added item; `item_id` and `title` are required.

    Attributes:
        item_id: id of the item.
        title: title of the item.
        embedding: the LLM's embedding of the title; without it, the service asks its teacher for
            one.
        attributes: values to filter by, by name of the attribute.
    """

    embedding: Sequence[float]
    attributes: Attributes


class _ChangedItem(TypedDict):
    item_id: str


class ChangedItem(_ChangedItem, total=False):
    """A change of one item in a bulk request; `item_id` is required, the rest stays if left out.

    Attributes:
        item_id: id of the item.
        removed: whether the item is removed; only added items can be, others can be hidden.
        hidden: whether the item is neither recommended nor shown.
        title: title; needed for an item that the service does not know.
        attributes: all values to filter by, by name of the attribute.
        embedding: the LLM's embedding of the title, for an item that is not in the bundle; without
            it, an unchanged title keeps its embedding, and the service asks its teacher otherwise.
    """

    removed: bool
    hidden: bool
    title: str | None
    attributes: Attributes | None
    embedding: Sequence[float] | None


class ItemPatch(TypedDict, total=False):
    """Changes of an item; what is left out stays as it is.

    Attributes:
        hidden: whether the item is neither recommended nor shown.
        title: title to show; None: the item's own.
        attributes: all values to filter by, by name of the attribute; None: the item's own.
    """

    hidden: bool
    title: str | None
    attributes: Attributes | None


def given(**fields: str | int | None) -> Mapping[str, str | int]:
    """Returns the arguments that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
