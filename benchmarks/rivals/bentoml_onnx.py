"""BentoML in front of the same graph, in one worker."""

import os
from typing import Any

import bentoml
from redis.asyncio import Redis

from benchmarks.rivals.click_handler import Visit, onnx_ranker, store


@bentoml.service(workers=1)
class Recommend:
    """Opens Redis and the graph when it starts."""

    def __init__(self) -> None:
        self.ranker = onnx_ranker()
        self.redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)

    @bentoml.api(route="/recommend")
    async def recommend(self, session_id: str, item_id: str, k: int) -> dict[str, Any]:
        """Stores the click, answers the next items."""
        visit = Visit(session_id=session_id, item_id=item_id, k=k)
        *_, history = await store(self.redis.pipeline(transaction=False), visit).execute()
        return self.ranker.recommend(history, k)
