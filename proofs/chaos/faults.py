"""Defines the faults of Redis and its network: each lasts as long as a `with` block."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from redis.exceptions import RedisError

from proofs.chaos.stack import Stack
from proofs.fixtures.processes.waiting import wait_until
from proofs.fixtures.repeated import Repeated

_FILLERS = 2_000
_KEY_LOAD_MICROSECONDS = 10_000
_STALL_SECONDS = 0.3


@contextmanager
def stopped(stack: Stack) -> Iterator[None]:
    """Stops Redis with SIGSTOP: it accepts connections and answers nothing."""
    stack.primary.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        stack.primary.process.send_signal(signal.SIGCONT)


@contextmanager
def killed(stack: Stack) -> Iterator[None]:
    """Kills Redis with SIGKILL; when the block ends, restarts it from its append-only file."""
    stack.primary.kill()
    try:
        yield
    finally:
        stack.primary.start()


@contextmanager
def syns_dropped(stack: Stack) -> Iterator[None]:
    """Imitates a dead host: cuts all connections and does not answer new ones."""
    stack.proxy.drop_new_connections()
    try:
        yield
    finally:
        stack.proxy.accept_new_connections()


@contextmanager
def resets(stack: Stack) -> Iterator[None]:
    """Resets all connections to Redis ten times a second."""
    with Repeated(stack.proxy.reset_connections, 0.1):
        yield


@contextmanager
def stalls(stack: Stack) -> Iterator[None]:
    """Forwards nothing between service and Redis for 0.3 s of each 0.6 s."""

    def toggle() -> None:
        stack.proxy.is_stalled = not stack.proxy.is_stalled

    with Repeated(toggle, _STALL_SECONDS):
        yield
    stack.proxy.is_stalled = False


def late_by(seconds: float) -> "Fault":
    """Returns a fault that delays each reply of Redis by `seconds`."""

    @contextmanager
    def late(stack: Stack) -> Iterator[None]:
        stack.proxy.delay_seconds = seconds
        yield
        stack.proxy.delay_seconds = 0

    return late


@contextmanager
def narrow(stack: Stack) -> Iterator[None]:
    """Limits the replies of Redis to 20 kB/s per connection."""
    stack.proxy.bytes_per_second = 20_000
    yield
    stack.proxy.bytes_per_second = None
    stack.proxy.reset_connections()


@contextmanager
def full(stack: Stack) -> Iterator[None]:
    """Leaves Redis without free memory; since it may evict nothing, it refuses to write."""
    stack.primary.client.config_set("maxmemory", 1)
    yield
    stack.primary.client.config_set("maxmemory", 0)


@contextmanager
def failed_over(stack: Stack) -> Iterator[None]:
    """Makes the replica the primary, while the service still reaches the old primary.

    When the `with` block ends, the proxy leads to the new primary.
    """
    primary, replica = stack.primary, stack.replica
    primary.client.execute_command(  # type: ignore[no-untyped-call] # redis-py's gap
        "FAILOVER", "TO", "127.0.0.1", replica.port
    )
    wait_until(lambda: replica.client.role()[0] == "master")
    yield
    stack.proxy.target = replica.port
    stack.primary, stack.replica = replica, primary


@contextmanager
def loading(stack: Stack) -> Iterator[None]:
    """Restarts Redis so slowly that it still loads its append-only file during the fault."""
    redis = stack.primary
    with redis.client.pipeline() as pipeline:
        for number in range(_FILLERS):
            pipeline.set(f"filler:{number}", "x" * 100, ex=600)
        pipeline.execute()
    redis.client.bgrewriteaof()
    wait_until(lambda: not redis.client.info("persistence")["aof_rewrite_in_progress"])
    redis.kill()
    redis.start("--key-load-delay", str(_KEY_LOAD_MICROSECONDS), while_loading=True)
    yield
    with suppress(RedisError):
        redis.client.config_set("key-load-delay", 0)
    wait_until(lambda: redis.answers(while_loading=False))
    redis.client.config_set("key-load-delay", 0)


Fault = Callable[[Stack], AbstractContextManager[None]]

FAULTS: dict[str, Fault] = {
    "SIGSTOP": stopped,
    "kill -9": killed,
    "SYNs dropped": syns_dropped,
    "resets": resets,
    "replies 60 ms late": late_by(0.06),
    "replies 200 ms late": late_by(0.2),
    "stalls": stalls,
    "20 kB/s": narrow,
    "OOM": full,
    "READONLY": failed_over,
    "LOADING": loading,
}
