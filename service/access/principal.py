"""The principal of a request: the id of its key, its tenant, its scopes and its limits."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

SCOPE_KEY = "principal"
"""Name of the entry of the ASGI scope in which `AuthorizeByKey` stores a request's Principal."""

DEFAULT_TENANT = "default"
"""Tenant of requests without a key, and of the ADMIN_KEY."""


class Scope(StrEnum):
    """A permission that a key can have. Each route needs one scope, or none."""

    READ = "read"
    WRITE = "write"
    TEACHER = "teacher"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Limits:
    """Rate and daily quota of a key; None: no limit.

    Attributes:
        requests_per_second: allowed average rate.
        burst: number of requests that may come at once; None: as many as a second allows.
        requests_per_day: allowed number of requests in a day in UTC.
    """

    requests_per_second: float | None = None
    burst: int | None = None
    requests_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """The sender of a request, as its key describes it.

    Attributes:
        key_id: public part of the key; empty: the request has no key.
        tenant: owner of the sessions that the request can reach.
        scopes: the scopes of the key, and those that every request has.
        limits: rate and daily quota of the key; None: no limit.
        expires_at: Unix time from which the key is refused; infinity: never.
    """

    key_id: str
    tenant: str
    scopes: frozenset[Scope]
    limits: Limits | None = None
    expires_at: float = float("inf")


def parse_scopes(text: str) -> frozenset[Scope]:
    """Parses a comma-separated list of scopes, such as `read,write`.

    Raises:
        ValueError: a name is not a scope; the message lists the scopes.
    """
    names = [each.strip() for each in text.split(",")]
    return frozenset(map(_scope, names))


def joined(scopes: Iterable[Scope]) -> str:
    """Formats scopes as a comma-separated list such as `read,write`, in the order of `Scope`."""
    return ",".join(each for each in Scope if each in set(scopes))


def _scope(name: str) -> Scope:
    try:
        return Scope(name)
    except ValueError:
        raise ValueError(f"{name!r} is not a scope: choose from {joined(Scope)}") from None
