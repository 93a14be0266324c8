"""Parses the address of a Redis behind Sentinel.

Its form is `redis+sentinel://HOST:PORT,HOST:PORT/NAME/DATABASE`.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

SENTINEL_SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
_FORM = "redis+sentinel://[USER:PASSWORD@]HOST:PORT[,HOST:PORT ...]/NAME[/DATABASE]"
_DEFAULT_PORT = 26_379
_AUTHORITY_END = re.compile("[/?#]")


class SentinelUrl(NamedTuple):
    """The parts of the address of a Redis that Sentinels watch.

    Attributes:
        sentinels: host and port of each Sentinel.
        name: the master name, under which the Sentinels know the Redis.
        redis_url: user, password, database and options as a URL for redis-py; its host is a
            placeholder.
    """

    sentinels: Sequence[tuple[str, int]]
    name: str
    redis_url: str


def parse_sentinel_url(url: str) -> SentinelUrl:
    """Parses the address of a Redis behind Sentinel.

    Raises:
        ValueError: the address has another form. The message does not quote the address, because
            it can contain a password.
    """
    scheme, _, rest = url.partition("://")
    login, at, hosts = _AUTHORITY_END.split(rest, maxsplit=1)[0].rpartition("@")
    parts = urlsplit(f"//{rest[len(login + at + hosts) :]}")  # without hosts: it refuses several
    name, _, database = parts.path.strip("/").partition("/")
    try:
        sentinels = [_host_and_port(each) for each in hosts.split(",")]
    except ValueError:
        raise ValueError(f"must have the form {_FORM}") from None
    if not name or "/" in database:
        raise ValueError(f"must have the form {_FORM}")
    scheme = scheme.removesuffix("+sentinel")
    query = f"?{parts.query}" if parts.query else ""
    return SentinelUrl(
        sentinels, unquote(name), f"{scheme}://{login}{at}localhost/{database}{query}"
    )


def _host_and_port(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")  # knows IPv6 too
    if not parts.hostname:
        raise ValueError(text)
    return parts.hostname, parts.port or _DEFAULT_PORT
