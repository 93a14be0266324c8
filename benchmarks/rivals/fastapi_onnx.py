"""A peer of the service: FastAPI, used as in its documentation, serves the same graph."""

import os
from typing import Any

from fastapi import FastAPI
from redis.asyncio import Redis

from benchmarks.rivals.click_handler import ClickRequest, Ranker, onnx_ranker, store_click


def create_app(ranker: Ranker | None = None) -> FastAPI:
    """Makes the application; uvicorn calls it with `--factory`.

    Without `ranker`, the common-case graph of the bundle ranks.
    """
    # FastAPI's own telemetry is off, as it is in the service.
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})
    redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    ranker = ranker or onnx_ranker()

    @app.get("/ready")
    async def is_ready() -> str:
        return "yes"

    @app.post("/recommend")
    async def recommend(click: ClickRequest) -> dict[str, Any]:
        *_, history = await store_click(redis.pipeline(transaction=False), click).execute()
        return ranker.recommend(history, click.k)

    return app
