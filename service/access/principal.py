"""The principal of a request: which key sent it, for which tenant, and what it may do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

SCOPE_KEY = "principal"
"""Key of the ASGI scope under which `AuthorizeByKey` puts the Principal of a request."""

DEFAULT_TENANT = "default"
"""Tenant of requests without a key, and of the ADMIN_KEY."""


class Scope(StrEnum):
    """A group of routes that a key may call."""

    READ = "read"
    WRITE = "write"
    TEACHER = "teacher"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Limits:
    """Rate and daily quota of a key; None: no limit.

    Attributes:
        requests_per_second: average rate.
        burst: number of requests that may come at once; None: as many as a second allows.
        requests_per_day: number of requests of a day in UTC.
    """

    requests_per_second: float | None = None
    burst: int | None = None
    requests_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sent a request.

    Attributes:
        key_id: public part of the key; empty: the request has no key.
        tenant: sessions of two tenants never meet.
        scopes: the scopes of the key, and those that every request has.
        limits: None: the key has no limit.
        expires_at: Unix time from which the key is refused.
    """

    key_id: str
    tenant: str
    scopes: frozenset[Scope]
    limits: Limits | None = None
    expires_at: float = float("inf")


def parse_scopes(text: str) -> frozenset[Scope]:
    """Reads a list such as `read,write`; raises ValueError, which names the allowed scopes."""
    names = [each.strip() for each in text.split(",")]
    return frozenset(map(_scope, names))


def joined(scopes: Iterable[Scope]) -> str:
    """Writes scopes as a list such as `read,write`, in the order of `Scope`."""
    return ",".join(each for each in Scope if each in set(scopes))


def _scope(name: str) -> Scope:
    try:
        return Scope(name)
    except ValueError:
        raise ValueError(f"{name!r} is not a scope: choose from {joined(Scope)}") from None
