"""Makes Redis round trips without the service: one script appends, trims, expires and reads."""

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
# Maximum length of a history, and its lifetime in milliseconds (7 days).
LIMITS = ("50", "604800000")


def redis_py_round_trip(redis: Redis, key: str) -> Callable[[], object]:
    """Returns a function that appends an item to the history at `key` and reads it.

    The function uses redis-py.
    """
    script = redis.register_script(APPEND)
    return lambda: script(keys=[key], args=["an-item", *LIMITS])


def socket_round_trip(redis: Redis, port: int, key: str) -> Callable[[], object]:
    """Returns a function that appends an item to the history at `key` and reads it.

    The function sends bytes that were encoded before over a plain socket, and parses the reply with
    hiredis. This is the least work that a Python client can do.
    """
    sha = str(redis.script_load(APPEND))
    parts = ("EVALSHA", sha, 1, key, "an-item", *LIMITS)
    command = hiredis.pack_command(parts)  # type: ignore[arg-type] # its stub wants one part
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = hiredis.Reader(encoding="utf-8")

    def send_and_receive() -> object:
        connection.sendall(command)
        while (answer := reader.gets()) is False:
            reader.feed(connection.recv(1 << 16))
        return answer

    return send_and_receive
