"""A peer of the service: LitServe serves the same graph with one HTTP and one worker process.

If the environment variable BATCH_SIZE is set, LitServe gathers up to so many requests, and waits up
to BATCH_WAIT_MS milliseconds for them.
"""

import os
from typing import Any

import litserve
from redis import Redis

from benchmarks.rivals.click_handler import (
    ClickRequest,
    histories_of,
    onnx_batch_ranker,
    onnx_ranker,
    store_click,
    store_clicks,
)


class Recommend(litserve.LitAPI):
    """The LitServe API; its worker process connects to Redis and opens the graph once."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe passes it by name
        """Connects to Redis and opens the graph; LitServe calls it in the worker process."""
        self.ranker = onnx_ranker()
        self.redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)

    def decode_request(self, request: dict[str, Any]) -> ClickRequest:
        """Validates the body of a request."""
        return ClickRequest.model_validate(request)

    def predict(self, click: ClickRequest) -> dict[str, Any]:
        """Stores a click; returns recommendations after the history of its session."""
        *_, history = store_click(self.redis.pipeline(transaction=False), click).execute()
        return self.ranker.recommend(history, click.k)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Returns `output`, which LitServe encodes as JSON."""
        return output


class RecommendBatches(litserve.LitAPI):
    """The LitServe API with batches, which LitServe makes of the decoded requests."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe passes it by name
        """Connects to Redis and opens the graph; LitServe calls it in the worker process."""
        self.recommend = onnx_batch_ranker()
        self.redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)

    def decode_request(self, request: dict[str, Any]) -> ClickRequest:
        """Validates the body of a request."""
        return ClickRequest.model_validate(request)

    def predict(self, clicks: list[ClickRequest]) -> list[dict[str, Any]]:
        """Stores the clicks of a batch; returns recommendations for each."""
        pipeline = store_clicks(self.redis.pipeline(transaction=False), clicks)
        return self.recommend(clicks, histories_of(pipeline.execute()))

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Returns `output`, which LitServe encodes as JSON."""
        return output


def make_api() -> litserve.LitAPI:
    """Makes the API that the environment variables ask for."""
    if "BATCH_SIZE" not in os.environ:
        return Recommend(api_path="/recommend")
    return RecommendBatches(
        max_batch_size=int(os.environ["BATCH_SIZE"]),
        batch_timeout=float(os.environ["BATCH_WAIT_MS"]) / 1_000,
        api_path="/recommend",
    )


def main() -> None:
    """Serves on the port of the environment variable PORT until a signal ends the process."""
    api = make_api()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(port=int(os.environ["PORT"]), host="127.0.0.1", generate_client_file=False)


if __name__ == "__main__":
    main()
