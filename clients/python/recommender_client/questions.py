"""Requests to the service: one function for each route, which returns an `ApiRequest`.

`Client.ask` sends an `ApiRequest[T]` and returns a `T`. A question can be sent more than once.
Arguments that are left out are not sent, so the defaults of the service apply.

The service refuses a request with an invalid argument with status 422. Other statuses of refusals
are named at the functions. A refusal raises `RefusedError`, which has the status and the reason.
"""

from collections.abc import Mapping, Sequence
from typing import Unpack

from recommender_client import answers
from recommender_client.api_request import ApiRequest as ApiRequest
from recommender_client.api_request import T
from recommender_client.arguments import Attributes as Attributes
from recommender_client.arguments import ChangedItem as ChangedItem
from recommender_client.arguments import Event as Event
from recommender_client.arguments import ExplainedQuery as ExplainedQuery
from recommender_client.arguments import Filters as Filters
from recommender_client.arguments import ItemPatch as ItemPatch
from recommender_client.arguments import NewItem as NewItem
from recommender_client.arguments import PopularityOrder as PopularityOrder
from recommender_client.arguments import PopularityWindow as PopularityWindow
from recommender_client.arguments import PopularQuery as PopularQuery
from recommender_client.arguments import Query as Query
from recommender_client.arguments import RuledQuery as RuledQuery
from recommender_client.arguments import SessionEvent as SessionEvent
from recommender_client.arguments import SimilarQuery as SimilarQuery
from recommender_client.arguments import given
from recommender_client.service_questions import activate_model as activate_model
from recommender_client.service_questions import is_alive as is_alive
from recommender_client.service_questions import is_ready as is_ready
from recommender_client.service_questions import read_experiments as read_experiments
from recommender_client.service_questions import read_metrics as read_metrics
from recommender_client.service_questions import read_model as read_model
from recommender_client.service_questions import read_operations as read_operations
from recommender_client.service_questions import rollback_model as rollback_model


def recommend(**query: Unpack[ExplainedQuery]) -> ApiRequest[answers.RecommendationAnswer]:
    """Recommends the next items for a history.

    Args:
        **query: the fields of `ExplainedQuery`; `history`, `session_id` or both are required.

    Examples:
        >>> recommend(history=["1", "260"], k=5, allow={"genres": ["Drama"]}, explain=True)
        >>> recommend(history=["1"], max_per={"genres": 2}, boost={"items": {"260": 0.7}})
    """
    return ApiRequest("POST", "/v1/recommendations", body=query)


def recommend_batch(requests: Sequence[RuledQuery]) -> ApiRequest[answers.BatchAnswer]:
    """Recommends the next items for many histories in one request.

    Args:
        requests: up to 64 queries. If one of them is invalid, the whole batch is refused.

    Examples:
        >>> recommend_batch([{"history": ["1"], "k": 5}, {"session_id": "visit-1"}])
    """
    return ApiRequest("POST", "/v1/recommendations/batch", body={"requests": requests})


def recommend_by_teacher(**query: Unpack[Query]) -> ApiRequest[answers.TeacherRecommendationAnswer]:
    """Recommends the next items by the LLM teacher, which takes seconds.

    If the teacher fails or is late, the student answers, and `degraded` is True in the answer.
    Refused with 503 if the service has no teacher.

    Args:
        **query: the fields of `Query`; `history`, `session_id` or both are required.
    """
    return ApiRequest("POST", "/v1/teacher/recommendations", body=query)


def compare(**query: Unpack[Query]) -> ApiRequest[answers.ComparisonAnswer]:
    """Recommends by student and teacher, and measures how far they agree.

    Args:
        **query: the fields of `Query`; `history`, `session_id` or both are required.
    """
    return ApiRequest("POST", "/v1/compare", body=query)


def append_event(session_id: str, **event: Unpack[Event]) -> ApiRequest[answers.EventAnswer]:
    """Appends an event to the history of a session.

    If the history store does not answer, `stored` is False in the answer: send the event again.

    Args:
        session_id: id of the session; a new id begins a session.
        **event: the fields of `Event`; `item_id` is required.

    Examples:
        >>> append_event("visit-1", item_id="260", event_id="click-1")
    """
    return _session("POST", "/events", session_id, body=event)


def append_events(events: Sequence[SessionEvent]) -> ApiRequest[answers.EventsAnswer]:
    """Appends events of many sessions; the answer says of each whether it is stored.

    Args:
        events: up to 1,000 events; those of one session are stored in their order. An invalid event
            does not stop the others.

    Example:
        >>> append_events([{"session_id": "visit-1", "item_id": "260", "event_id": "click-1"}])
    """
    return ApiRequest("POST", "/v1/events", body={"events": events})


def append_event_and_recommend(
    session_id: str, k: int, **event: Unpack[Event]
) -> ApiRequest[answers.EventRecommendationAnswer]:
    """Appends an event to the history of a session and recommends the next items.

    Args:
        session_id: id of the session; a new id begins a session.
        k: number of items to recommend.
        **event: the fields of `Event`; `item_id` is required.

    Examples:
        >>> append_event_and_recommend("visit-1", 5, item_id="260", event_id="click-1")
    """
    return _session("POST", "/events", session_id, {"k": k}, event)


def recommend_for_session(
    session_id: str,
    *,
    k: int | None = None,
    mask_seen: bool | None = None,
    explain: bool | None = None,
    consent: bool | None = None,
) -> ApiRequest[answers.RecommendationAnswer]:
    """Recommends the next items for a session, or popular items if the session is unknown.

    Args:
        session_id: id of the session.
        k: number of items to recommend.
        mask_seen: whether items of the session are left out.
        explain: whether each recommended item has `reasons`, see `ExplainedQuery`.
        consent: whether the user agrees that the answer is logged.
    """
    parameters = given(k=k, mask_seen=mask_seen, explain=explain, consent=consent)
    return _session("GET", "/recommendations", session_id, parameters)


def read_session(session_id: str) -> ApiRequest[answers.SessionAnswer]:
    """Reads the stored history of a session; refused with 404 if nothing is stored."""
    return _session("GET", "", session_id)


def forget_session(session_id: str) -> ApiRequest[None]:
    """Deletes everything that is stored of a session.

    Succeeds for an unknown session, too. Refused with 503 if the history store does not answer.
    """
    return _session("DELETE", "", session_id)


def forget_user(user_id: str) -> ApiRequest[None]:
    """Deletes all sessions with an event of a user, as `forget_session` deletes one."""
    return ApiRequest("DELETE", "/v1/users/{user_id}", {"user_id": user_id})


def search_items(
    query: str | None = None, *, limit: int | None = None
) -> ApiRequest[answers.ItemsAnswer]:
    """Finds items by words of their titles, the most popular first.

    Args:
        query: words; a title must contain all of them. None finds all items.
        limit: maximum number of items, 1 to 100; 20 by default.

    Examples:
        >>> search_items("star wars", limit=3)
    """
    return ApiRequest("GET", "/v1/items", parameters=given(query=query, limit=limit))


def add_item(
    *, admin_key: str | None = None, **item: Unpack[NewItem]
) -> ApiRequest[answers.AddedItemAnswer]:
    """Adds an item to the catalog without training; replaces an added item with the same id.

    Refused with 401 or 403 if the admin key is missing or wrong. Refused with 409 if the item is in
    the bundle, or if the model cannot read embeddings. Refused with 503 if the item store does not
    answer, or if the request has no embedding and there is no teacher to make one.

    Args:
        admin_key: the service's ADMIN_KEY; None if the service has none.
        **item: the fields of `NewItem`; `item_id` and `title` are required.

    Examples:
        >>> add_item(item_id="new-1", title="Brand new", attributes={"genres": ["Drama"]})
    """
    return ApiRequest("POST", "/v1/items", body=item, admin_key=admin_key)


def change_items(
    items: Sequence[ChangedItem], *, admin_key: str | None = None
) -> ApiRequest[answers.ChangedItemsAnswer]:
    """Adds, changes, hides and removes many items; a change that fails stops no other.

    Changes of items of the bundle are like `edit_item`; any other item is added, or the added one
    is changed. Changes can be sent again. Refused with 401 or 403 if the admin key is missing or
    wrong, with 413 if the request is longer than a mebibyte, with 503 if the item store does not
    answer.

    Args:
        items: up to 10,000 changes, which are made in their order. If `processed` of the answer is
            smaller than their number, the time was over: send the others in another request.
        admin_key: the service's ADMIN_KEY; None if the service has none.

    Example:
        >>> change_items([{"item_id": "260", "hidden": True}, {"item_id": "n-1", "removed": True}])
    """
    return ApiRequest("POST", "/v1/items/bulk", body={"items": items}, admin_key=admin_key)


def read_item(item_id: str) -> ApiRequest[answers.ItemAnswer]:
    """Reads an item; refused with 404 if it is not in the catalog."""
    return ApiRequest("GET", "/v1/items/{item_id}", {"item_id": item_id})


def edit_item(
    item_id: str, *, admin_key: str | None = None, **patch: Unpack[ItemPatch]
) -> ApiRequest[answers.ItemEditAnswer]:
    """Hides an item of the bundle or an added one, or changes its title or attributes.

    Refused with 401 or 403 if the admin key is missing or wrong, with 404 if there is no such item,
    with 409 if too many items are edited, with 503 if the item store does not answer.

    Args:
        item_id: id of the item.
        admin_key: the service's ADMIN_KEY; None if the service has none.
        **patch: the fields of `ItemPatch`.

    Example:
        >>> edit_item("260", hidden=True)
    """
    return ApiRequest(
        "PATCH", "/v1/items/{item_id}", {"item_id": item_id}, body=patch, admin_key=admin_key
    )


def remove_item(item_id: str, *, admin_key: str | None = None) -> ApiRequest[None]:
    """Removes an added item; succeeds if there is no such item, too.

    Refused with 401 or 403 if the admin key is missing or wrong, with 409 if the item is in the
    bundle, with 503 if the item store does not answer.

    Args:
        item_id: id of the item.
        admin_key: the service's ADMIN_KEY; None if the service has none.
    """
    return ApiRequest("DELETE", "/v1/items/{item_id}", {"item_id": item_id}, admin_key=admin_key)


def read_similar_items(
    item_id: str, *, k: int | None = None
) -> ApiRequest[answers.SimilarItemsAnswer]:
    """Finds the items whose vectors have the largest cosine with that of an item.

    Refused with 404 if the item is not in the catalog.

    Args:
        item_id: id of the item.
        k: number of items.
    """
    return ApiRequest("GET", "/v1/items/{item_id}/similar", {"item_id": item_id}, given(k=k))


def select_similar_items(
    item_id: str, **query: Unpack[SimilarQuery]
) -> ApiRequest[answers.SimilarItemsAnswer]:
    """Finds the items that filters and rules allow and whose vectors have the largest cosine.

    Refused with 404 if the item is not in the catalog. `query`: the fields of `SimilarQuery`.

    Example:
        >>> select_similar_items("260", k=5, deny={"genres": ["Horror"]}, diversity=0.3)
    """
    return ApiRequest("POST", "/v1/items/{item_id}/similar", {"item_id": item_id}, body=query)


def read_popular_items(
    *,
    k: int | None = None,
    window: PopularityWindow | None = None,
    order: PopularityOrder | None = None,
    event_type: str | None = None,
) -> ApiRequest[answers.PopularItemsAnswer]:
    """Finds the most popular or trending items of a window of time.

    Refused with 404 if a window is given and the service counts no events. The arguments are those
    of `PopularQuery`.

    Example:
        >>> read_popular_items(k=5, window="24h", order="trending")
    """
    parameters = given(k=k, window=window, order=order, event_type=event_type)
    return ApiRequest("GET", "/v1/popular", parameters=parameters)


def select_popular_items(**query: Unpack[PopularQuery]) -> ApiRequest[answers.PopularItemsAnswer]:
    """Finds the most popular or trending items that filters and rules allow.

    Refused with 404 if a window is given and the service counts no events. `query`: the fields of
    `PopularQuery`.

    Example:
        >>> select_popular_items(k=5, window="7d", allow={"genres": ["Drama"]}, max_per={"year": 2})
    """
    return ApiRequest("POST", "/v1/popular", body=query)


def read_examples() -> ApiRequest[answers.ExamplesAnswer]:
    """Reads example histories, to try the service with.

    They are made from popular items, unless the service shows those of users (`EXAMPLES=bundle`).
    """
    return ApiRequest("GET", "/v1/examples")


def _session(
    method: str,
    rest: str,
    session_id: str,
    parameters: Mapping[str, str | int] | None = None,
    body: Mapping[str, object] | None = None,
) -> ApiRequest[T]:
    path = "/v1/sessions/{session_id}" + rest
    return ApiRequest(method, path, {"session_id": session_id}, parameters or {}, body)
