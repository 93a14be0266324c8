"""Requests to the service: one function for each route, which returns a `Question`.

`Client.ask` sends a `Question[T]` and returns a `T`. A question can be sent more than once.
Arguments that are left out are not sent, so the service's own defaults apply.

Every request may be refused with 422 (an invalid argument); the functions name further statuses.
`RefusedError` has the status and the reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypedDict, TypeVar, Unpack

from recommender_client import answers

T = TypeVar("T")
Attributes = Mapping[str, Sequence[str]]
"""Values by name of the attribute, such as `{"genres": ["Comedy", "Drama"]}`."""


@dataclass(frozen=True)
class Question(Generic[T]):
    """A request whose answer is a `T`.

    Attributes:
        method: HTTP method.
        path: path of the route as OpenAPI writes it, with names in braces.
        ids: values for the names in braces, not yet encoded.
        parameters: query parameters.
        body: body, to be sent as JSON.
        admin_key: the service's ADMIN_KEY, to be sent as a bearer token.
    """

    method: str
    path: str
    ids: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    admin_key: str | None = None


class Filters(TypedDict, total=False):
    """Arguments that decide how many and which items may be recommended.

    Attributes:
        k: how many items; 20 by default, at most the service's MAX_K.
        exclude: ids of items that must not be recommended.
        allow: for each attribute named, only items with at least one of these values.
        deny: no items with any of these values.
        mask_seen: leave out items of the history; True by default.
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
        session_id: a session whose stored history is read, and comes before `history`.
    """

    history: Sequence[str]
    session_id: str


class ExplainedQuery(Query, total=False):
    """Arguments of a recommendation that may give its reasons.

    Attributes:
        explain: add the `reasons` of each item: the items of the history that led to it.
    """

    explain: bool


def recommend(**query: Unpack[ExplainedQuery]) -> Question[answers.RecommendationAnswer]:
    """Recommends the next items for a history.

    Args:
        **query: the fields of `ExplainedQuery`; `history`, `session_id` or both are required.

    Example:
        >>> recommend(history=["1", "260"], k=5, allow={"genres": ["Drama"]}, explain=True)
    """
    return Question("POST", "/v1/recommendations", body=query)


def recommend_batch(requests: Sequence[Query]) -> Question[answers.BatchAnswer]:
    """Recommends the next items for many histories in one request.

    Args:
        requests: up to 64 queries. One invalid query refuses the whole batch.

    Example:
        >>> recommend_batch([{"history": ["1"], "k": 5}, {"session_id": "visit-1"}])
    """
    return Question("POST", "/v1/recommendations/batch", body={"requests": requests})


def recommend_by_teacher(**query: Unpack[Query]) -> Question[answers.TeacherRecommendationAnswer]:
    """Recommends the next items with the LLM, which takes seconds.

    If the LLM fails or is late, the student answers; `degraded` is True then. Refused with 503 if
    the service has no teacher.

    Args:
        **query: the fields of `Query`; `history`, `session_id` or both are required.
    """
    return Question("POST", "/v1/teacher/recommendations", body=query)


def compare(**query: Unpack[Query]) -> Question[answers.ComparisonAnswer]:
    """Recommends with student and teacher, and measures how far they agree.

    Args:
        **query: the fields of `Query`; `history`, `session_id` or both are required.
    """
    return Question("POST", "/v1/compare", body=query)


class _Event(TypedDict):
    item_id: str


class Event(_Event, total=False):
    """Arguments of an event; `item_id` is required.

    Attributes:
        item_id: the item; it may be one that the catalog does not have yet.
        event_id: an id of your own. An event that is sent again with it is stored once.
        consent: False stores and reads nothing; `item_id` is the whole history then.
    """

    event_id: str
    consent: bool


def append_event(session_id: str, **event: Unpack[Event]) -> Question[answers.EventAnswer]:
    """Appends an event to a session.

    Where the history store is lost, the answer has `stored` False: send the event again.

    Args:
        session_id: the session; it begins with its first event.
        **event: the fields of `Event`; `item_id` is required.

    Example:
        >>> append_event("visit-1", item_id="260", event_id="click-1")
    """
    return _session("POST", "/events", session_id, body=event)


def append_event_and_recommend(
    session_id: str, k: int, **event: Unpack[Event]
) -> Question[answers.EventRecommendationAnswer]:
    """Appends an event to a session and recommends the next items.

    Args:
        session_id: the session; it begins with its first event.
        k: how many items.
        **event: the fields of `Event`; `item_id` is required.

    Example:
        >>> append_event_and_recommend("visit-1", 5, item_id="260", event_id="click-1")
    """
    return _session("POST", "/events", session_id, {"k": k}, event)


def recommend_for_session(
    session_id: str,
    *,
    k: int | None = None,
    mask_seen: bool | None = None,
    explain: bool | None = None,
) -> Question[answers.RecommendationAnswer]:
    """Recommends the next items for a session; popular items if the session is unknown.

    Args:
        session_id: the session.
        k: how many items.
        mask_seen: leave out items of the session.
        explain: add the `reasons` of each item.
    """
    parameters = _given(k=k, mask_seen=mask_seen, explain=explain)
    return _session("GET", "/recommendations", session_id, parameters)


def read_session(session_id: str) -> Question[answers.SessionAnswer]:
    """Reads the stored history of a session; refused with 404 if nothing is stored."""
    return _session("GET", "", session_id)


def forget_session(session_id: str) -> Question[None]:
    """Deletes all that is stored of a session.

    It succeeds for an unknown session, too. Refused with 503 if the history store is lost.
    """
    return _session("DELETE", "", session_id)


def search_items(
    query: str | None = None, *, limit: int | None = None
) -> Question[answers.ItemsAnswer]:
    """Finds items by words of their title, the most popular first.

    Args:
        query: words that the title must all contain; without it, all items match.
        limit: how many items, 1 to 100; 20 by default.

    Example:
        >>> search_items("star wars", limit=3)
    """
    return Question("GET", "/v1/items", parameters=_given(query=query, limit=limit))


class _NewItem(TypedDict):
    item_id: str
    title: str


class NewItem(_NewItem, total=False):
    """Arguments of an added item; `item_id` and `title` are required.

    Attributes:
        item_id: id of the item.
        title: its title.
        embedding: the LLM's embedding of the title. Without it the connected teacher makes it.
        attributes: its values for filters.
    """

    embedding: Sequence[float]
    attributes: Attributes


def add_item(
    *, admin_key: str | None = None, **item: Unpack[NewItem]
) -> Question[answers.AddedItemAnswer]:
    """Adds an item to the catalog without training; replaces an item that was added before.

    Refused with 401 or 403 if the admin key is missing or wrong, with 409 if the item is in the
    bundle or the model cannot read embeddings. Refused with 503 if the item store is lost, or if
    there is neither an embedding nor a teacher that makes one.

    Args:
        admin_key: the service's ADMIN_KEY, if it has one.
        **item: the fields of `NewItem`; `item_id` and `title` are required.

    Example:
        >>> add_item(item_id="new-1", title="Brand new", attributes={"genres": ["Drama"]})
    """
    return Question("POST", "/v1/items", body=item, admin_key=admin_key)


def read_item(item_id: str) -> Question[answers.ItemAnswer]:
    """Reads an item; refused with 404 if the catalog does not have it."""
    return Question("GET", "/v1/items/{item_id}", {"item_id": item_id})


def remove_item(item_id: str, *, admin_key: str | None = None) -> Question[None]:
    """Removes an added item; succeeds if there is none, too.

    Refused with 401 or 403 if the admin key is missing or wrong, with 409 for an item of the
    bundle, with 503 if the item store is lost.

    Args:
        item_id: id of the item.
        admin_key: the service's ADMIN_KEY, if it has one.
    """
    return Question("DELETE", "/v1/items/{item_id}", {"item_id": item_id}, admin_key=admin_key)


def read_similar_items(
    item_id: str, *, k: int | None = None
) -> Question[answers.SimilarItemsAnswer]:
    """Finds the items that the student holds nearest to an item, by cosine.

    Refused with 404 if the catalog does not have the item.

    Args:
        item_id: id of the item.
        k: how many items.
    """
    return Question("GET", "/v1/items/{item_id}/similar", {"item_id": item_id}, _given(k=k))


def read_examples() -> Question[answers.ExamplesAnswer]:
    """Reads some real histories that the bundle has, for trying the service."""
    return Question("GET", "/v1/examples")


def read_model() -> Question[answers.ModelAnswer]:
    """Reads the manifest of the served bundle, and its variants."""
    return Question("GET", "/v1/model")


def activate_model(
    admin_key: str, *, bundle: str, variant: str | None = None
) -> Question[answers.VariantAnswer]:
    """Serves another bundle, in all workers.

    Refused with 401 or 403 for a wrong admin key, with 404 if there is no such variant, with 409
    if the service cannot move its link, with 422 if the bundle cannot be served. A refusal changes
    nothing.

    Args:
        admin_key: the service's ADMIN_KEY.
        bundle: name of the bundle's folder, beside the link BUNDLE_PATH.
        variant: the variant that changes its bundle; by default the control.
    """
    body = _given(bundle=bundle, variant=variant)
    return Question("POST", "/v1/model/activate", body=body, admin_key=admin_key)


def rollback_model(
    admin_key: str, *, variant: str | None = None
) -> Question[answers.VariantAnswer]:
    """Serves the bundle before the current one; a second call undoes the first.

    Refused with 401 or 403 for a wrong admin key, with 404 if there is no such variant, with 409
    if it has served no other bundle, with 422 if that bundle cannot be served any more.

    Args:
        admin_key: the service's ADMIN_KEY.
        variant: the variant that changes its bundle; by default the control.
    """
    body = _given(variant=variant)
    return Question("POST", "/v1/model/rollback", body=body, admin_key=admin_key)


def is_alive() -> Question[answers.HealthAnswer]:
    """Asks whether the process runs."""
    return Question("GET", "/healthz")


def is_ready() -> Question[answers.ReadinessAnswer]:
    """Asks whether the service accepts requests; refused with 503 while it shuts down."""
    return Question("GET", "/readyz")


def read_metrics() -> Question[str]:
    """Reads the metrics of all workers, as text in the format of Prometheus."""
    return Question("GET", "/metrics")


def _session(
    method: str,
    rest: str,
    session_id: str,
    parameters: Mapping[str, str | int] | None = None,
    body: Mapping[str, object] | None = None,
) -> Question[T]:
    path = "/v1/sessions/{session_id}" + rest
    return Question(method, path, {"session_id": session_id}, parameters or {}, body)


def _given(**fields: str | int | None) -> Mapping[str, str | int]:
    return {name: value for name, value in fields.items() if value is not None}
