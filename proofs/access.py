"""Measures the CPU time that authorization adds to a request: without keys, with one, with limits.

The middleware `AuthorizeByKey` is called around an application that does nothing. Calls of that
application alone are subtracted; the two take turns. `python -m proofs event_cost` measures a whole
request.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from starlette.types import Message, Receive, Scope, Send

from benchmarks.load.cpu_time import cpu_us
from proofs.record import Figure
from service.access.access import Access
from service.access.key_commands import NewKey, create_key
from service.access.principal import Limits
from service.access.principal import Scope as KeyScope
from service.api.authorization import AuthorizeByKey
from service.api.scopes import scope_table
from service.app import create_app
from service.settings import Settings

PATH = "/v1/sessions/ann/events"
_AROUND_MEDIAN = 0.23
"""Share of the sorted runs to cut off at each end.

For about 15 runs, the remaining ones span the 95 % interval of the median.
"""

_HEADERS = [
    (b"host", b"127.0.0.1:8000"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"user-agent", b"python-httpx/0.28"),
    (b"content-length", b"41"),
    (b"content-type", b"application/json"),
]


def prove(*, pairs: int = 15, blocks: int = 100) -> Iterator[Figure]:
    """Measures the CPU time that authorization adds to a request.

    Args:
        pairs: number of measurements of each figure.
        blocks: number of blocks of 20 calls in a measurement.
    """
    with tempfile.TemporaryDirectory() as folder:
        calls = _calls(Path(folder) / "keys.json")
        runs = [cpu_us(calls, blocks) for _ in range(pairs)]
    for name, at_most in (
        ("without keys", 5),
        ("with a key", 5),
        ("with a key that has limits", 10),
        ("a wrong key, refused", 100),
    ):
        added = sorted(run[name] - run["nothing"] for run in runs)
        cut = int(len(added) * _AROUND_MEDIAN)
        low, high = added[cut], added[-1 - cut]
        yield Figure(name, "µs CPU", statistics.median(added), low, high, at_most=at_most)


def _calls(keys_path: Path) -> dict[str, Callable[[], object]]:
    scopes = frozenset(KeyScope)
    plain = create_key(keys_path, NewKey(scopes))
    limited = create_key(keys_path, NewKey(scopes, limits=Limits(1e6, 10**6, 10**12)))
    without, with_keys = _authorization(Settings()), _authorization(Settings(keys_file=keys_path))
    return {
        "nothing": _call(_nothing),
        "without keys": _call(without),
        "with a key": _call(with_keys, plain),
        "with a key that has limits": _call(with_keys, limited),
        "a wrong key, refused": _call(with_keys, f"{plain}x"),
    }


def _authorization(settings: Settings) -> AuthorizeByKey:
    access = Access.of(settings)
    access.authentication.load()
    return AuthorizeByKey(_nothing, scope_table(create_app(settings)), access)


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for the application behind the middleware: reads and answers nothing."""


def _call(
    app: Callable[[Scope, Receive, Send], object], key: str | None = None
) -> Callable[[], object]:
    """Returns a function that sends a request to `app` without an event loop.

    The function raises RuntimeError if `app` waits for anything.
    """
    headers = [*_HEADERS, *([(b"authorization", f"Bearer {key}".encode())] if key else [])]
    raw_path = PATH.encode()

    def call() -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "raw_path": raw_path,
            "headers": headers,
        }
        coroutine = app(scope, _receive, _send)
        try:
            coroutine.send(None)  # type: ignore[attr-defined]
        except StopIteration:
            return
        raise RuntimeError("the application waits for something")

    return call


async def _receive() -> Message:
    return {"type": "http.request", "body": b""}


async def _send(_: Message) -> None:
    """Takes a part of an answer and drops it."""
