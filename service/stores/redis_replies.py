"""Error replies of Redis: their types, and what they mean for connections and callers."""

from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)


class WriteRefusedError(ResponseError):
    """Redis refuses all writes, for a reason that redis-py has no type for."""


class IsolatedNodeError(WriteRefusedError):
    """A primary has too few replicas to accept writes: another primary may have taken over."""


class StuckNodeError(ResponseError):
    """A node runs a script that cannot be killed, and answers nothing else."""


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
_ANOTHER_NODE = (
    ReadOnlyError,
    BusyLoadingError,
    ClusterDownError,  # MasterDownError too
    IsolatedNodeError,
    StuckNodeError,
)
_WRITES_REFUSED = (ReadOnlyError, OutOfMemoryError, WriteRefusedError)


def reply_error(message: str) -> RedisError:
    """Makes the error of an error reply, whose first word is its code."""
    return _KINDS.get(message.partition(" ")[0], ResponseError)(message)


def another_node_may_answer(error: RedisError) -> bool:
    """Whether a new connection to the same address may lead to a node that does not refuse."""
    return isinstance(error, _ANOTHER_NODE)


def refuses_writes(error: BaseException) -> bool:
    """Whether Redis answers and refuses only commands that write; it may be read meanwhile."""
    if isinstance(error, _WRITES_REFUSED):
        return True
    # redis-py, which serves clusters, has types for some codes only.
    return isinstance(error, ResponseError) and str(error).startswith(("MISCONF", "NOREPLICAS"))
