"""A peer of the service: BentoML serves the same graph with one worker."""

import os
from typing import Any

import bentoml
from redis.asyncio import Redis

from benchmarks.rivals.click_handler import ClickRequest, onnx_ranker, store_click


@bentoml.service(workers=1)
class Recommend:
    """The BentoML service; it connects to Redis and opens the graph when it starts."""

    def __init__(self) -> None:
        self.ranker = onnx_ranker()
        self.redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)

    @bentoml.api(route="/recommend")
    async def recommend(self, session_id: str, item_id: str, k: int) -> dict[str, Any]:
        """Stores a click and returns the next items."""
        click = ClickRequest(session_id=session_id, item_id=item_id, k=k)
        *_, history = await store_click(self.redis.pipeline(transaction=False), click).execute()
        return self.ranker.recommend(history, k)
