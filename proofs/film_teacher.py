"""A substitute for the LLM teacher, with fixed answers about the example bundle."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

FILMS = Path(__file__).parents[1] / "assets" / "movielens" / "bundle"


def film_teacher() -> FastAPI:
    """Makes an application with the API of `training.teacher.live.server`.

    It ranks items in the order of the catalog, and gives every title the same embedding.
    """
    lines = (FILMS / "items.jsonl").read_text(encoding="utf-8").splitlines()
    films = [json.loads(line)["item_id"] for line in lines]
    app = FastAPI()

    @app.post("/recommendations")
    async def recommend(query: dict[str, Any]) -> dict[str, Any]:
        forbidden = {*query["exclude"], *(query["history"] if query["mask_seen"] else ())}
        item_ids = [item_id for item_id in films if item_id not in forbidden][: query["k"]]
        distances = [float(place) for place in range(len(item_ids))]
        return {"teacher_version": "1", "item_ids": item_ids, "distances": distances}

    @app.post("/embeddings")
    async def embed(query: dict[str, Any]) -> dict[str, Any]:
        embedding = [1.0] * 576
        return {"teacher_version": "1", "embeddings": [embedding for _ in query["titles"]]}

    return app


@contextmanager
def running_teacher() -> Iterator[str]:
    """Runs the substitute teacher in a thread during a `with` block; yields its base URL."""
    server = uvicorn.Server(uvicorn.Config(film_teacher(), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    (address,) = [listener.getsockname() for each in server.servers for listener in each.sockets]
    try:
        yield f"http://{address[0]}:{address[1]}"
    finally:
        server.should_exit = True
        thread.join()
