"""A peer of the service: LitServe serves the same graph with one HTTP and one worker process."""

import os
from typing import Any

import litserve
from redis import Redis

from benchmarks.rivals.click_handler import ClickRequest, onnx_ranker, store_click


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


def main() -> None:
    """Serves on the port of the environment variable PORT until a signal ends the process."""
    api = Recommend(api_path="/recommend")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(port=int(os.environ["PORT"]), host="127.0.0.1", generate_client_file=False)


if __name__ == "__main__":
    main()
