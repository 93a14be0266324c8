"""LitServe in front of the same graph: its HTTP process hands requests to a worker process."""

import os
from typing import Any

import litserve
from redis import Redis

from benchmarks.rivals.click_handler import Visit, onnx_ranker, store


class Recommend(litserve.LitAPI):
    """Opens Redis and the graph in the worker, once."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - its name
        """See LitAPI."""
        self.ranker = onnx_ranker()
        self.redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)

    def decode_request(self, request: dict[str, Any]) -> Visit:
        """See LitAPI."""
        return Visit.model_validate(request)

    def predict(self, visit: Visit) -> dict[str, Any]:
        """See LitAPI."""
        *_, history = store(self.redis.pipeline(transaction=False), visit).execute()
        return self.ranker.recommend(history, visit.k)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """See LitAPI."""
        return output


def main() -> None:
    """Serves until told to stop."""
    api = Recommend(api_path="/recommend")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(port=int(os.environ["PORT"]), host="127.0.0.1", generate_client_file=False)


if __name__ == "__main__":
    main()
