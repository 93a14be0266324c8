"""The service on the bundle of the ring (`proofs/fixtures/data/ring_bundle.py`)."""

import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from proofs.fixtures.data.ring_bundle import RING as RING
from proofs.fixtures.data.ring_bundle import TITLES as TITLES
from proofs.fixtures.data.ring_bundle import ring_graph as ring_graph
from proofs.fixtures.data.ring_bundle import save_ring_bundle as save_ring_bundle
from proofs.fixtures.processes.waiting import free_port
from service.app import create_app
from service.settings import Settings
from tests.conftest import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisServer

PATIENCE_SECONDS = TIMEOUT_SECONDS

Serve = Callable[..., str]
Connect = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the service time, so that no answer depends on the speed of the machine.

    A test of one of these deadlines sets it itself.
    """
    for name in ("LOAD_SECONDS", "REDIS_TIMEOUT_SECONDS", "TEACHER_DEADLINE_SECONDS"):
        monkeypatch.setenv(name, str(PATIENCE_SECONDS))
    for name in (
        "admission.caller.DEFAULT_WAIT_SECONDS",
        "bundles.opened_items._ANSWER_SECONDS",
        "http.connections.READ_SECONDS",
        "http.protocol.BODY_SECONDS",
        "http.protocol.HEADER_SECONDS",
        "popularity.reading._KNOWN_WAIT_SECONDS",
        "popularity.reading._WAIT_SECONDS",
        "stores.group_commit._SECONDS_TO_SAVE",
    ):
        monkeypatch.setattr(f"service.{name}", PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_ring_bundle(tmp_path_factory.mktemp("service") / "bundle", ring_graph(len(RING)))


@pytest.fixture
def save_bundle_with(tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that saves a ring bundle with another graph, scale, name or files."""

    def save(
        graph_items: int = len(RING),
        scale: float = 1,
        name: str = "bundle",
        **more: Any,
    ) -> Path:
        return save_ring_bundle(tmp_path / name, ring_graph(graph_items, scale), **more)

    return save


@pytest.fixture
def connect() -> Connect:
    """Returns a context that runs the service in this process and gives a client of it."""
    return connected


@pytest.fixture
async def client(bundle_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The service with its embedded store."""
    async with connected(Settings(bundle_path=bundle_path)) as client:
        yield client


def without_id(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without its id, which is another one each time."""
    return {name: value for name, value in answer.items() if name != "recommendation_id"}


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://service",
            event_hooks={"response": [check_documented]},
        ) as client,
    ):
        yield client


@contextmanager
def served(**settings: object) -> Iterator[str]:
    """Runs `python -m service` until the block ends; gives its address."""
    port = free_port()
    environment = {name.upper(): str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "service"], env=os.environ | environment | {"PORT": str(port)}
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        assert process.wait(timeout=PATIENCE_SECONDS) == 0


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    with httpx.Client(timeout=PATIENCE_SECONDS) as client:
        while time.monotonic() < deadline:
            assert process.poll() is None, "the service ended before it was ready"
            with suppress(httpx.TransportError):
                if client.get(f"{url}/readyz").is_success:
                    return
            time.sleep(0.05)
    raise TimeoutError(url)


@pytest.fixture
def serve(bundle_path: Path, redis_server: "RedisServer") -> Iterator[Serve]:
    """Starts service processes on one Redis."""
    with ExitStack() as running:

        def start(**more: object) -> str:
            settings = {
                "bundle_path": bundle_path,
                "redis_url": redis_server.url,
            }
            return running.enter_context(served(**settings | more))

        yield start


async def check_documented(response: httpx.Response) -> None:
    """Fails the test if OpenAPI does not document status, media type and headers of the answer."""
    request = response.request
    for pattern, operations in documented_operations().items():
        if re.fullmatch(pattern, raw_path(request)) and request.method.lower() in operations:
            documented = operations[request.method.lower()]["responses"][str(response.status_code)]
            media_type = response.headers.get("content-type", "").partition(";")[0]
            assert media_type in documented.get("content", {"": None})
            sent = set(response.headers) & documented_headers()
            assert sent == {name.lower() for name in documented["headers"]}


@cache
def documented_headers() -> set[str]:
    """The headers in OpenAPI, in lower case."""
    return set(map(str.lower, create_app(Settings()).openapi()["components"]["headers"]))


def raw_path(request: httpx.Request) -> str:
    """The path as it was sent, in which an encoded `/` separates nothing."""
    return request.url.raw_path.partition(b"?")[0].decode()


@cache
def documented_operations() -> dict[str, dict[str, Any]]:
    """The operations of each path in OpenAPI, by a regular expression of the path."""
    paths = create_app(Settings()).openapi()["paths"]
    return {re.sub(r"{\w+}", "[^/]+", path): operations for path, operations in paths.items()}
