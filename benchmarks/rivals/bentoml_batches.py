"""A peer of the service: BentoML serves the same graph with one worker, in adaptive batches.

A batch has up to BATCH_SIZE requests. BentoML learns how long to wait for them, and refuses those
that it expects to take longer than BATCH_WAIT_MS milliseconds.
"""

import os
from typing import Any

import bentoml
from redis.asyncio import Redis

from benchmarks.rivals.click_handler import (
    ClickRequest,
    histories_of,
    onnx_batch_ranker,
    store_clicks,
)


@bentoml.service(workers=1)
class Recommend:
    """The BentoML service; it connects to Redis and opens the graph when it starts."""

    def __init__(self) -> None:
        self.ranker = onnx_batch_ranker()
        self.redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)

    @bentoml.api(
        route="/recommend",
        batchable=True,
        max_batch_size=int(os.environ["BATCH_SIZE"]),
        max_latency_ms=int(os.environ["BATCH_WAIT_MS"]),
    )
    async def recommend(self, clicks: list[ClickRequest]) -> list[dict[str, Any]]:
        """Stores the clicks of a batch and returns the next items for each."""
        pipeline = store_clicks(self.redis.pipeline(transaction=False), clicks)
        return self.ranker(clicks, histories_of(await pipeline.execute()))
