"""The handling of a click that all rivals share: store it, read the history, rank, answer.

This is what an engineer writes who serves the same graph without this project. Four Redis commands
store the click and read the history in one round trip. The graph runs with the session options that
suit it best. The answer has ids, titles and scores. Left out, in favour of the rivals: idempotency,
fallbacks, filters, added items, metrics, problem documents.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from benchmarks.subjects.bare_graph import common_case_run
from export.contract.bundle import Bundle, BundleLayout, load_bundle

MAX_STORED_LENGTH = 200
TTL_SECONDS = 7 * 24 * 3600


class ClickRequest(BaseModel):
    """Body of a request: a click, and how many items to recommend after it."""

    session_id: str
    item_id: str
    k: int


def open_bundle() -> Bundle:
    """Loads the bundle of the environment variable BUNDLE_PATH."""
    return load_bundle(Path(os.environ["BUNDLE_PATH"]))


def store_click(pipeline: Any, click: ClickRequest) -> Any:
    """Adds the commands to a redis-py pipeline; its last result is the history, oldest first."""
    key = f"visit:{click.session_id}"
    pipeline.rpush(key, click.item_id)
    pipeline.ltrim(key, -MAX_STORED_LENGTH, -1)
    pipeline.expire(key, TTL_SECONDS)
    return pipeline.lrange(key, 0, -1)


class Ranker:
    """Ranks the catalog of a bundle; `rank` maps a history and `k` to item indices and scores."""

    def __init__(
        self, bundle: Bundle, rank: Callable[[list[int], int], tuple[list[int], list[float]]]
    ) -> None:
        self._items = bundle.items
        self._index_of = {each.item_id: place for place, each in enumerate(bundle.items, start=1)}
        self._rank = rank

    def recommend(self, item_ids: Sequence[str], k: int) -> dict[str, Any]:
        """Returns the answer to a history of `item_ids`, ready to be encoded as JSON."""
        history = [self._index_of[each] for each in item_ids if each in self._index_of]
        indices, scores = self._rank(history, k)
        items = [self._items[index - 1] for index in indices]
        return {
            "items": [
                {"item_id": item.item_id, "title": item.title, "score": score}
                for item, score in zip(items, scores, strict=True)
            ]
        }


def onnx_ranker() -> Ranker:
    """Returns a ranker on the bundle's common-case graph, with the service's session options."""
    bundle = open_bundle()
    run = common_case_run(BundleLayout(bundle.folder).common_case)

    def rank(history: list[int], k: int) -> tuple[list[int], list[float]]:
        indices, scores = run(history, k)
        return indices[0].tolist(), scores[0].tolist()

    return Ranker(bundle, rank)
