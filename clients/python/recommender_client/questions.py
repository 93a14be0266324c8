"""What can be asked: a function a route; a `Question[T]` is asked for a `T`.

Arguments that are left out are not sent: the defaults are the service's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypedDict, TypeVar, Unpack

from recommender_client import answers

T = TypeVar("T")
Attributes = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Question(Generic[T]):
    """A request; `path` is the route's as OpenAPI writes it, filled in with `ids`."""

    method: str
    path: str
    ids: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    admin_key: str | None = None


class Filters(TypedDict, total=False):
    """What may be answered."""

    k: int
    exclude: Sequence[str]
    allow: Attributes
    deny: Attributes
    mask_seen: bool


class Query(Filters, total=False):
    """What to recommend for: `history`, oldest first, `session_id`, or both."""

    history: Sequence[str]
    session_id: str


class ExplainedQuery(Query, total=False):
    """The same, with the reasons of each item."""

    explain: bool


def recommend(**query: Unpack[ExplainedQuery]) -> Question[answers.RecommendationAnswer]:
    """The next items."""
    return Question("POST", "/v1/recommendations", body=query)


def recommend_batch(requests: Sequence[Query]) -> Question[answers.BatchAnswer]:
    """The next items for many at once."""
    return Question("POST", "/v1/recommendations/batch", body={"requests": requests})


def recommend_by_teacher(**query: Unpack[Query]) -> Question[answers.TeacherRecommendationAnswer]:
    """The next items as the LLM sees them; slow."""
    return Question("POST", "/v1/teacher/recommendations", body=query)


def compare(**query: Unpack[Query]) -> Question[answers.ComparisonAnswer]:
    """What student and teacher recommend, and how far they agree."""
    return Question("POST", "/v1/compare", body=query)


class _Event(TypedDict):
    item_id: str


class Event(_Event, total=False):
    """An interaction; with an `event_id` it may be sent again. `consent=False` stores nothing."""

    event_id: str
    consent: bool


def append_event(session_id: str, **event: Unpack[Event]) -> Question[answers.EventAnswer]:
    """Stores an event."""
    return _session("POST", "/events", session_id, body=event)


def append_event_and_recommend(
    session_id: str, k: int, **event: Unpack[Event]
) -> Question[answers.EventRecommendationAnswer]:
    """Stores an event, and the next `k` items after it."""
    return _session("POST", "/events", session_id, {"k": k}, event)


def recommend_for_session(
    session_id: str,
    *,
    k: int | None = None,
    mask_seen: bool | None = None,
    explain: bool | None = None,
) -> Question[answers.RecommendationAnswer]:
    """The next items for a stored history."""
    parameters = _given(k=k, mask_seen=mask_seen, explain=explain)
    return _session("GET", "/recommendations", session_id, parameters)


def read_session(session_id: str) -> Question[answers.SessionAnswer]:
    """What is stored of a session; refused with 404 if nothing is."""
    return _session("GET", "", session_id)


def forget_session(session_id: str) -> Question[None]:
    """Forgets a session."""
    return _session("DELETE", "", session_id)


def search_items(
    query: str | None = None, *, limit: int | None = None
) -> Question[answers.ItemsAnswer]:
    """Items whose title holds every word, most popular first."""
    return Question("GET", "/v1/items", parameters=_given(query=query, limit=limit))


class _NewItem(TypedDict):
    item_id: str
    title: str


class NewItem(_NewItem, total=False):
    """An item that came after the export."""

    embedding: Sequence[float]
    attributes: Attributes


def add_item(
    *, admin_key: str | None = None, **item: Unpack[NewItem]
) -> Question[answers.AddedItemAnswer]:
    """Makes an item recommendable that no student was trained on."""
    return Question("POST", "/v1/items", body=item, admin_key=admin_key)


def read_item(item_id: str) -> Question[answers.ItemAnswer]:
    """One item; refused with 404 if there is none."""
    return Question("GET", "/v1/items/{item_id}", {"item_id": item_id})


def remove_item(item_id: str, *, admin_key: str | None = None) -> Question[None]:
    """Forgets an added item."""
    return Question("DELETE", "/v1/items/{item_id}", {"item_id": item_id}, admin_key=admin_key)


def read_similar_items(
    item_id: str, *, k: int | None = None
) -> Question[answers.SimilarItemsAnswer]:
    """The nearest other items."""
    return Question("GET", "/v1/items/{item_id}/similar", {"item_id": item_id}, _given(k=k))


def read_examples() -> Question[answers.ExamplesAnswer]:
    """Some real histories."""
    return Question("GET", "/v1/examples")


def read_model() -> Question[answers.ModelAnswer]:
    """What is served."""
    return Question("GET", "/v1/model")


def activate_model(
    admin_key: str, *, bundle: str, variant: str | None = None
) -> Question[answers.VariantAnswer]:
    """Serves another bundle from now on."""
    body = _given(bundle=bundle, variant=variant)
    return Question("POST", "/v1/model/activate", body=body, admin_key=admin_key)


def rollback_model(
    admin_key: str, *, variant: str | None = None
) -> Question[answers.VariantAnswer]:
    """Serves what was served before."""
    body = _given(variant=variant)
    return Question("POST", "/v1/model/rollback", body=body, admin_key=admin_key)


def is_alive() -> Question[answers.HealthAnswer]:
    """Whether the process runs."""
    return Question("GET", "/healthz")


def is_ready() -> Question[answers.ReadinessAnswer]:
    """Whether the service answers."""
    return Question("GET", "/readyz")


def read_metrics() -> Question[str]:
    """Figures as Prometheus reads them."""
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
