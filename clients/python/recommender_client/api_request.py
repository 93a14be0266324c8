"""The request of one call to the service, with the type of its answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class ApiRequest(Generic[T]):
    """A request whose answer is a `T`.

    Attributes:
        method: HTTP method.
        path: path of the route as in OpenAPI, with names in braces.
        ids: values of the names in braces, not yet encoded for a URL.
        parameters: parameters of the URL.
        body: body to send as JSON; None sends none.
        admin_key: the service's ADMIN_KEY, sent as a bearer token; None sends none.
    """

    method: str
    path: str
    ids: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    admin_key: str | None = None
