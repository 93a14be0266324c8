"""The least that a request could cost: the graph alone, Redis alone, HTTP alone."""

import socket
from collections.abc import Callable

import hiredis
from redis import Redis

APPEND = """
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[2]), -1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return redis.call('LRANGE', KEYS[1], 0, -1)
"""
LIMITS = ("50", "604800000")


def library_round_trip(redis: Redis, key: str) -> Callable[[], object]:
    """Append, trim, expire and read through redis-py, synchronously, in one script."""
    script = redis.register_script(APPEND)
    return lambda: script(keys=[key], args=["an-item", *LIMITS])


def wire_round_trip(redis: Redis, port: int, key: str) -> Callable[[], object]:
    """The same with a socket and hiredis' parser: bytes that are ready, nothing around them."""
    sha = str(redis.script_load(APPEND))
    parts = ("EVALSHA", sha, 1, key, "an-item", *LIMITS)
    command = hiredis.pack_command(parts)  # type: ignore[arg-type] # its stub wants one part
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = hiredis.Reader(encoding="utf-8")

    def ask() -> object:
        connection.sendall(command)
        while (answer := reader.gets()) is False:
            reader.feed(connection.recv(1 << 16))
        return answer

    return ask
