"""A bundle whose answers can be computed in the head, and the service on it.

The catalog is the ring a, b, c, d, e, f, g, h. The student ranks by the way ahead: after `c` come
d, e, f, g, h, a, b, with scores 8, 7, 6 … Popular is the other way round: h, g, f … a.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
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
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.contract.bundle import Figure, Item, save_bundle
from export.contract.tensors import ENCODER_TENSORS, TENSORS
from proofs.fixtures.processes.waiting import free_port
from service.app import create_app
from service.settings import Settings
from tests.conftest import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisServer

RING = "abcdefgh"
PATIENCE_SECONDS = TIMEOUT_SECONDS
TITLES = ("Toy Story", "Heat", "Story of Us", "Alien", "Élan", "Fargo", "Up", "Jaws")

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


POPULARITY = Figure(
    row="popularity",
    student="",
    teacher_free=True,
    protocol="validation",
    split="test",
    targets="all",
    metric="NDCG@20",
    mean=0.5,
    low=0.25,
    high=0.75,
    seeds=1,
)


def save_ring_bundle(
    folder: Path,
    graph: onnx.ModelProto,
    *,
    has_encoder: bool = True,
    common_case: Path | None = None,
    note: str = "tests",
    unread: str = "",
    scorer: Mapping[str, Any] | None = None,
) -> Path:
    model_path, encoder_path = folder.with_suffix(".onnx"), folder.with_suffix(".encoder.onnx")
    onnx.save(graph, model_path)
    onnx.save(ring_encoder(len(RING)), encoder_path)
    items = [
        Item(
            item_id,
            title,
            popularity,
            {"letter": [item_id], "vowel": ["yes" if item_id in "ae" else "no"]},
            is_read=item_id not in unread,
        )
        for popularity, (item_id, title) in enumerate(zip(RING, TITLES, strict=True))
    ]
    save_bundle(
        folder,
        model_path,
        items,
        histories=[["a", "c"], ["h"]],
        common_case=common_case,
        item_encoder=encoder_path if has_encoder else None,
        student="ring",
        max_history_length=4,
        metrics={"NDCG@20": 0.5},
        parity_error=0.0,
        provenance={"made_by": note},
        trained_until=1_000_209_600_000,
        figures=[POPULARITY],
        verdict="It is above popularity.",
        scorer=scorer,
    )
    return folder


def attributes(letter: str) -> dict[str, list[str]]:
    return {"letter": [letter], "vowel": ["yes" if letter in "ae" else "no"]}


_NODES: list[tuple[str, list[str], list[str], dict[str, int]]] = [
    # The newest item: the last place that holds no padding.
    ("Equal", ["history", "zero"], ["is_padding"], {}),
    ("Not", ["is_padding"], ["is_item"], {}),
    ("Cast", ["is_item"], ["item_flags"], {"to": TensorProto.INT64}),
    ("ArgMax", ["item_flags"], ["newest"], {"axis": 1, "select_last_index": 1}),
    ("GatherElements", ["history", "newest"], ["newest_item"], {"axis": 1}),
    ("Squeeze", ["newest_item", "one"], ["last_items"], {}),
    # Vectors: one-hot for the ring, and the given vectors of added items.
    ("Concat", ["table", "added"], ["vectors"], {"axis": 0}),
    ("Gather", ["vectors", "last_items"], ["last_vectors"], {}),
    ("MatMul", ["last_vectors", "way_ahead"], ["query"], {}),
    ("Transpose", ["vectors"], ["columns"], {}),
    ("MatMul", ["query", "columns"], ["ahead"], {}),
    # Items that are not allowed.
    ("Where", ["allowed", "ahead", "minus_infinity"], ["allowed_scores"], {}),
    ("Pad", ["excluded", "one_column_after"], ["blocked"], {}),
    ("Shape", ["blocked"], ["blocked_shape"], {}),
    ("Expand", ["minus_infinity", "blocked_shape"], ["blocked_mask"], {}),
    ("ScatterElements", ["allowed_scores", "blocked", "blocked_mask"], ["left"], {"axis": 1}),
    ("Shape", ["history"], ["history_shape"], {}),
    ("Expand", ["minus_infinity", "history_shape"], ["history_mask"], {}),
    ("ScatterElements", ["left", "history", "history_mask"], ["unseen"], {"axis": 1}),
    ("Where", ["mask_seen", "unseen", "left"], ["final"], {}),
    ("Shape", ["added"], ["num_added"], {"end": 1}),
    ("Add", ["num_added", "num_items"], ["num_all"], {}),
    ("Min", ["k", "num_all"], ["answered"], {}),
    ("TopK", ["final", "answered"], ["scores", "item_indices"], {"axis": 1}),
]


def ring_graph(num_items: int, scale: float = 1) -> onnx.ModelProto:
    """A graph that keeps the contract of `export.contract.tensors.Tensors`."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(kind, ins, outs, **options) for kind, ins, outs, options in _NODES],
        "ring",
        inputs=[
            info(TENSORS.history, TensorProto.INT64, ["batch", "length"]),
            info(TENSORS.excluded, TensorProto.INT64, ["batch", "num_excluded"]),
            info(TENSORS.allowed, TensorProto.BOOL, ["batch_or_1", "places"]),
            info(TENSORS.mask_seen, TensorProto.BOOL, []),
            info(TENSORS.k, TensorProto.INT64, [1]),
            info(TENSORS.added, TensorProto.FLOAT, ["num_added", num_items]),
        ],
        outputs=[
            info(TENSORS.item_indices, TensorProto.INT64, ["batch", "answered"]),
            info(TENSORS.scores, TensorProto.FLOAT, ["batch", "answered"]),
            info(TENSORS.table, TensorProto.FLOAT, [num_items + 1, num_items]),
        ],
        initializer=[
            numpy_helper.from_array(np.array([0]), "zero"),
            numpy_helper.from_array(np.array([1]), "one"),
            numpy_helper.from_array(np.array([0, 0, 0, 1]), "one_column_after"),
            numpy_helper.from_array(np.array([num_items]), "num_items"),
            numpy_helper.from_array(np.array([-np.inf], dtype=np.float32), "minus_infinity"),
            numpy_helper.from_array(scale * _way_ahead(num_items), "way_ahead"),
            numpy_helper.from_array(np.eye(num_items + 1, num_items, -1, np.float32), "table"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _way_ahead(num_items: int) -> NDArray[np.float32]:
    """`[items, items]`: `num_items` for the next in the ring, 1 for the item itself."""
    places = np.arange(num_items)
    ahead = num_items - (places - places[:, None] - 1) % num_items
    return ahead.astype(np.float32)


def ring_encoder(num_items: int) -> onnx.ModelProto:
    """An item encoder that keeps the contract: the embedding of a new item is its vector."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", [ENCODER_TENSORS.embeddings], [ENCODER_TENSORS.vectors])],
        "ring_encoder",
        inputs=[info(ENCODER_TENSORS.embeddings, TensorProto.FLOAT, ["batch", num_items])],
        outputs=[info(ENCODER_TENSORS.vectors, TensorProto.FLOAT, ["batch", num_items])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
