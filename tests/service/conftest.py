"""A bundle whose answers can be told in the head, and the service on it.

The catalog is the ring a, b, c, d, e, f, g, h. The student ranks by the way ahead: after `c` come
d, e, f, g, h, a, b, with scores 8, 7, 6 … Popular is the other way round: h, g, f … a.
"""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.bundle import TENSORS, Item, save_bundle
from service.app import create_app
from service.settings import Settings

RING = "abcdefgh"
TITLES = ("Toy Story", "Heat", "Story of Us", "Alien", "Élan", "Fargo", "Up", "Jaws")

Connect = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_ring_bundle(tmp_path_factory.mktemp("service") / "bundle", ring_graph(len(RING)))


@pytest.fixture
def save_bundle_with(tmp_path: Path) -> Callable[..., Path]:
    """Saves a bundle whose graph is not what it should be."""

    def save(graph_items: int = len(RING), scale: float = 1) -> Path:
        return save_ring_bundle(tmp_path / "bundle", ring_graph(graph_items, scale))

    return save


@pytest.fixture
def connect() -> Connect:
    """Starts the service with some settings and talks to it in this process."""
    return connected


@pytest.fixture
async def client(bundle_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The service with its embedded store."""
    async with connected(Settings(bundle_path=bundle_path)) as client:
        yield client


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


async def check_documented(response: httpx.Response) -> None:
    """Fails the test if OpenAPI does not tell of the answer it got."""
    request = response.request
    for pattern, operations in documented_operations().items():
        if re.fullmatch(pattern, request.url.path) and request.method.lower() in operations:
            documented = operations[request.method.lower()]["responses"][str(response.status_code)]
            media_type = response.headers.get("content-type")
            assert media_type is None or media_type in documented["content"]


@cache
def documented_operations() -> dict[str, dict[str, Any]]:
    """What OpenAPI says of each path, by a pattern of the path."""
    paths = create_app(Settings()).openapi()["paths"]
    return {re.sub(r"{\w+}", "[^/]+", path): operations for path, operations in paths.items()}


def save_ring_bundle(folder: Path, graph: onnx.ModelProto) -> Path:
    model_path = folder.with_suffix(".onnx")
    onnx.save(graph, model_path)
    items = [
        Item(item_id, title, popularity, {"letter": [item_id]})
        for popularity, (item_id, title) in enumerate(zip(RING, TITLES, strict=True))
    ]
    save_bundle(
        folder,
        model_path,
        items,
        student="ring",
        max_history_length=4,
        metrics={"NDCG@20": 0.5},
        parity_error=0.0,
        provenance={"made_by": "tests"},
    )
    return folder


_NODES: list[tuple[str, list[str], list[str], dict[str, int]]] = [
    # The newest item: the last place that holds no padding.
    ("Equal", ["history", "zero"], ["is_padding"], {}),
    ("Not", ["is_padding"], ["is_item"], {}),
    ("Cast", ["is_item"], ["item_flags"], {"to": TensorProto.INT64}),
    ("ArgMax", ["item_flags"], ["newest"], {"axis": 1, "select_last_index": 1}),
    ("GatherElements", ["history", "newest"], ["newest_item"], {"axis": 1}),
    ("Squeeze", ["newest_item", "one"], ["last_items"], {}),
    ("Gather", ["table", "last_items"], ["ahead"], {}),
    # What may not be answered.
    ("Where", ["allowed", "ahead", "minus_infinity"], ["allowed_scores"], {}),
    ("Shape", ["excluded"], ["excluded_shape"], {}),
    ("Expand", ["minus_infinity", "excluded_shape"], ["excluded_mask"], {}),
    ("ScatterElements", ["allowed_scores", "excluded", "excluded_mask"], ["left"], {"axis": 1}),
    ("Shape", ["history"], ["history_shape"], {}),
    ("Expand", ["minus_infinity", "history_shape"], ["history_mask"], {}),
    ("ScatterElements", ["left", "history", "history_mask"], ["unseen"], {"axis": 1}),
    ("Where", ["mask_seen", "unseen", "left"], ["final"], {}),
    ("Min", ["k", "num_items"], ["answered"], {}),
    ("TopK", ["final", "answered"], ["scores", "item_indices"], {"axis": 1}),
]


def ring_graph(num_items: int, scale: float = 1) -> onnx.ModelProto:
    """A graph that keeps the contract of `export.bundle.Tensors`."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(kind, ins, outs, **options) for kind, ins, outs, options in _NODES],
        "ring",
        inputs=[
            info(TENSORS.history, TensorProto.INT64, ["batch", "length"]),
            info(TENSORS.excluded, TensorProto.INT64, ["batch", "num_excluded"]),
            info(TENSORS.allowed, TensorProto.BOOL, ["batch_or_1", num_items + 1]),
            info(TENSORS.mask_seen, TensorProto.BOOL, []),
            info(TENSORS.k, TensorProto.INT64, [1]),
        ],
        outputs=[
            info(TENSORS.item_indices, TensorProto.INT64, ["batch", "answered"]),
            info(TENSORS.scores, TensorProto.FLOAT, ["batch", "answered"]),
        ],
        initializer=[
            numpy_helper.from_array(np.array([0]), "zero"),
            numpy_helper.from_array(np.array([1]), "one"),
            numpy_helper.from_array(np.array([num_items]), "num_items"),
            numpy_helper.from_array(np.array([-np.inf], dtype=np.float32), "minus_infinity"),
            numpy_helper.from_array(scale * _way_ahead(num_items), "table"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _way_ahead(num_items: int) -> NDArray[np.float32]:
    """`[items + 1, items + 1]`: `num_items` for the next in the ring, 1 for the item itself."""
    indices = np.arange(1, num_items + 1)
    table = np.full((num_items + 1, num_items + 1), -np.inf, dtype=np.float32)
    table[0, 1:] = 0
    table[1:, 1:] = num_items - (indices - indices[:, None] - 1) % num_items
    return table
