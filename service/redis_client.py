"""How this service talks to Redis: few connections, one try, a short wait."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.errors import ServiceError


def connect_redis(url: str, *, timeout_seconds: float, max_connections: int) -> Redis:
    """A client whose commands are tried once, each within `timeout_seconds`.

    A second try could do a thing twice, and every caller has an answer without Redis.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        decode_responses=True,
    )
    return Redis.from_pool(pool)


@contextmanager
def redis_errors_as(kind: type[ServiceError]) -> Iterator[None]:
    """Raises whatever Redis or the network says as an error of `kind`."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise kind(f"Redis: {type(error).__name__}: {error}") from error
