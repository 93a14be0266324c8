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
    TryAgainError,
)


class WriteRefusedError(ResponseError):
    """An error reply that refuses all writes, with a code for which redis-py has no exception."""


class IsolatedNodeError(WriteRefusedError):
    """An error reply of a primary that refuses writes because it has too few replicas.

    Another node may have become the primary.
    """


class StuckNodeError(ResponseError):
    """An error reply of a node that refuses all commands, since its script cannot be killed."""


_KINDS: dict[str, type[RedisError]] = {
    "NOSCRIPT": NoScriptError,
    "READONLY": ReadOnlyError,
    "LOADING": BusyLoadingError,
    "MASTERDOWN": MasterDownError,
    "CLUSTERDOWN": ClusterDownError,
    "TRYAGAIN": TryAgainError,
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
    """Makes the exception for the error reply `message`, of the type that fits its first word.

    For example, `READONLY …` becomes a ReadOnlyError. An unknown word gives a ResponseError.
    """
    code, _, rest = message.partition(" ")
    if code in _REDIRECTIONS:
        return _redirection(code, rest) or ResponseError(message)
    return _KINDS.get(code, ResponseError)(message)


def _redirection(code: str, rest: str) -> AskError | None:
    """Makes the exception for a redirection; returns None if the reply is malformed.

    Args:
        code: MOVED or ASK, the first word of the reply.
        rest: the other words of the reply, expected as `SLOT HOST:PORT`.
    """
    try:
        return _REDIRECTIONS[code](rest)
    except (ValueError, IndexError):
        return None


def another_node_may_answer(error: RedisError) -> bool:
    """Returns whether `error` says that the node is no primary any more, or cannot work as one.

    After a failover, a new connection to the same address may then lead to another, working node.
    """
    return isinstance(error, _ANOTHER_NODE)


def rejects_for_good(error: BaseException | None) -> bool:
    """Returns whether `error` means that Redis would reject the command at every attempt.

    Redis does so if a key holds a value of another type, or if a value has a wrong form or is too
    long.
    """
    return isinstance(error, ResponseError) and any(map(str(error).__contains__, _FOR_GOOD))


def refuses_writes(error: BaseException) -> bool:
    """Returns whether `error` means that Redis refuses writes but still answers reads."""
    if isinstance(error, _WRITES_REFUSED):
        return True
    # redis-py, which serves clusters, has types for some codes only.
    return isinstance(error, ResponseError) and str(error).startswith(("MISCONF", "NOREPLICAS"))
