"""Turns error replies of Redis into exceptions, and says what a caller can do about them."""

from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)


class WriteRefusedError(ResponseError):
    """Redis refuses all writes, with an error code for which redis-py has no exception."""


class IsolatedNodeError(WriteRefusedError):
    """A primary refuses writes because it has too few replicas.

    Another node may have become the primary.
    """


class StuckNodeError(ResponseError):
    """A node refuses all commands because it runs a script that cannot be killed."""


_KINDS: dict[str, type[RedisError]] = {
    "NOSCRIPT": NoScriptError,
    "READONLY": ReadOnlyError,
    "LOADING": BusyLoadingError,
    "MASTERDOWN": MasterDownError,
    "CLUSTERDOWN": ClusterDownError,
    "OOM": OutOfMemoryError,
    "MISCONF": WriteRefusedError,
    "NOREPLICAS": IsolatedNodeError,
    "UNKILLABLE": StuckNodeError,
}
_REDIRECTIONS: dict[str, type[AskError]] = {"MOVED": MovedError, "ASK": AskError}
_ANOTHER_NODE = (
    ReadOnlyError,
    BusyLoadingError,
    ClusterDownError,  # MasterDownError too
    IsolatedNodeError,
    StuckNodeError,
)
_FOR_GOOD = ("WRONGTYPE", "is not a valid float", "exceeds maximum allowed size")
_WRITES_REFUSED = (ReadOnlyError, OutOfMemoryError, WriteRefusedError)


def reply_error(message: str) -> RedisError:
    """Makes the exception for an error reply; its type depends on the first word of `message`."""
    code, _, rest = message.partition(" ")
    if code in _REDIRECTIONS:
        return _redirection(code, rest) or ResponseError(message)
    return _KINDS.get(code, ResponseError)(message)


def _redirection(code: str, rest: str) -> AskError | None:
    """Makes the exception for a redirection; returns None if `rest` is not `SLOT HOST:PORT`.

    `code`: MOVED or ASK, the first word of the reply.
    """
    try:
        return _REDIRECTIONS[code](rest)
    except (ValueError, IndexError):
        return None


def another_node_may_answer(error: RedisError) -> bool:
    """Returns whether a new connection to the same address may lead to a working node.

    After a failover it may: `error` then says that the connected node is no longer the primary, or
    cannot work as one.
    """
    return isinstance(error, _ANOTHER_NODE)


def rejects_for_good(error: BaseException | None) -> bool:
    """Returns whether `error` means that Redis would reject the command at every attempt.

    Redis does so if a key holds a value of another type, or if a value has a wrong form.
    """
    return isinstance(error, ResponseError) and any(map(str(error).__contains__, _FOR_GOOD))


def refuses_writes(error: BaseException) -> bool:
    """Returns whether `error` means that Redis refuses writes but still answers reads."""
    if isinstance(error, _WRITES_REFUSED):
        return True
    # redis-py, which serves clusters, has types for some codes only.
    return isinstance(error, ResponseError) and str(error).startswith(("MISCONF", "NOREPLICAS"))
