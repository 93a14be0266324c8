"""Connection pools of redis-py by address: a plain Redis, or one that Sentinel finds."""

import asyncio
from typing import Any

from redis.asyncio import ConnectionPool, Sentinel
from redis.asyncio.connection import parse_url
from redis.asyncio.sentinel import SentinelConnectionPool

from service.setting_parts.sentinel_url import SENTINEL_SCHEMES, parse_sentinel_url

_OF_SENTINEL = "sentinel_"
"""Prefix of the options in an address that are for the Sentinels, as `sentinel_password`."""


def pool_for(url: str, **options: Any) -> ConnectionPool:
    """Makes a pool of connections to the Redis at `url`, or to the primary that Sentinel names."""
    return (
        sentinel_pool(url, **options)
        if is_sentinel(url)
        else ConnectionPool.from_url(url, **options)
    )


def is_sentinel(url: str) -> bool:
    """Returns whether `url` names Sentinels."""
    return url.startswith(SENTINEL_SCHEMES)


def sentinel_pool(url: str, **options: Any) -> "_SentinelPool":
    """Makes a pool whose connections ask the Sentinels for the primary when they connect."""
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
    """A pool that also closes the connections to the Sentinels."""

    async def aclose(self) -> None:
        """Closes all connections."""
        await super().aclose()
        await asyncio.gather(*(each.aclose() for each in self.sentinel_manager.sentinels))
