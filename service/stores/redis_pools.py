"""Makes redis-py's connection pools for the address of a Redis or of its Sentinels."""

import asyncio
from typing import Any

from redis.asyncio import ConnectionPool, Sentinel
from redis.asyncio.connection import parse_url
from redis.asyncio.sentinel import SentinelConnectionPool

from service.setting_parts.sentinel_url import SENTINEL_SCHEMES, parse_sentinel_url

_OF_SENTINEL = "sentinel_"
"""Prefix of options in an address that apply to the Sentinels, for example `sentinel_password`."""


def pool_for(url: str, **options: Any) -> ConnectionPool:
    """Makes a pool of connections to one Redis.

    If `url` is the address of Sentinels, the connections lead to the primary that they report.
    `options` are keyword arguments for redis-py's connections, such as `socket_timeout`.
    """
    return (
        sentinel_pool(url, **options)
        if is_sentinel(url)
        else ConnectionPool.from_url(url, **options)
    )


def pool_of_node(url: str, address: tuple[str, int], **options: Any) -> ConnectionPool:
    """Makes a pool of connections to a node of a cluster.

    Args:
        url: address of any node of the cluster. The connections use its scheme, password and
            options, but not its host and port.
        address: host and port of the node to connect to.
        options: keyword arguments for redis-py's connections.
    """
    pool = ConnectionPool.from_url(url, **options)
    host, port = address
    pool.connection_kwargs |= {"host": host, "port": port}
    return pool


def address_of(url: str) -> tuple[str, int]:
    """Returns host and port from the address `url`; by default `localhost` and 6379."""
    chosen = parse_url(url)
    return chosen.get("host", "localhost"), chosen.get("port", 6379)


def is_sentinel(url: str) -> bool:
    """Returns whether `url` is an address of Sentinels, by its scheme."""
    return url.startswith(SENTINEL_SCHEMES)


def sentinel_pool(url: str, **options: Any) -> "_SentinelPool":
    """Makes a pool of connections to the primary that Sentinels report.

    Each connection asks the Sentinels for the primary when it connects.

    Args:
        url: address of the Sentinels, see `service.setting_parts.sentinel_url`.
        options: keyword arguments for redis-py's connections, to the primary and to the Sentinels.
    """
    address = parse_sentinel_url(url)
    chosen = dict(parse_url(address.redis_url))
    is_encrypted = chosen.pop("connection_class", None) is not None
    for each in ("host", "port"):
        chosen.pop(each, None)
    of_sentinel = {
        name.removeprefix(_OF_SENTINEL): chosen.pop(name)
        for name in list(chosen)
        if name.startswith(_OF_SENTINEL)
    }
    sentinels = Sentinel(  # type: ignore[no-untyped-call] # redis-py's gap
        address.sentinels, sentinel_kwargs={**options, "ssl": is_encrypted, **of_sentinel}
    )
    return _SentinelPool(  # type: ignore[no-untyped-call] # redis-py's gap
        address.name, sentinels, ssl=is_encrypted, **chosen, **options
    )


class _SentinelPool(SentinelConnectionPool):
    """A redis-py pool for Sentinel that also closes its connections to the Sentinels."""

    async def aclose(self) -> None:
        """Closes all connections, to the Redis and to the Sentinels."""
        await super().aclose()
        await asyncio.gather(*(each.aclose() for each in self.sentinel_manager.sentinels))
