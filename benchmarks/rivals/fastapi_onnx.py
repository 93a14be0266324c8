"""Plain FastAPI in front of the same graph."""

import os
from typing import Any

from fastapi import FastAPI
from redis.asyncio import Redis

from benchmarks.rivals.click_handler import Ranker, Visit, onnx_ranker, store


def create_app(ranker: Ranker | None = None) -> FastAPI:
    """The application; uvicorn calls it."""
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})  # as the service
    redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    ranker = ranker or onnx_ranker()

    @app.get("/ready")
    async def is_ready() -> str:
        return "yes"

    @app.post("/recommend")
    async def recommend(visit: Visit) -> dict[str, Any]:
        *_, history = await store(redis.pipeline(transaction=False), visit).execute()
        return ranker.recommend(history, visit.k)

    return app
