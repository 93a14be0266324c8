"""Handles a click in the way that all peers share: store it, read the history, rank, answer.

An engineer who serves the same graph without this project would write this. Four Redis commands
store the click and read the history in one round trip. The graph runs with the service's session
options. The answer has ids, titles and scores. Idempotency, fallbacks, filters, added items,
metrics and problem documents are left out, which makes the peers faster.
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
    """The body of a request to a peer: a click, and the number `k` of items to recommend."""

    session_id: str
    item_id: str
    k: int


def open_bundle() -> Bundle:
    """Loads the bundle in the folder that the environment variable BUNDLE_PATH names."""
    return load_bundle(Path(os.environ["BUNDLE_PATH"]))


def store_click(pipeline: Any, click: ClickRequest) -> Any:
    """Adds commands to a redis-py pipeline that store a click and read the history of its session.

    The last result of the pipeline is the history as item ids, oldest first.
    """
    key = f"visit:{click.session_id}"
    pipeline.rpush(key, click.item_id)
    pipeline.ltrim(key, -MAX_STORED_LENGTH, -1)
    pipeline.expire(key, TTL_SECONDS)
    return pipeline.lrange(key, 0, -1)


class Ranker:
    """Recommends items of a bundle.

    Args:
        bundle: bundle whose catalog gives ids and titles.
        rank: maps a history of item indices and `k` to item indices, best first, and scores.
    """

    def __init__(
        self, bundle: Bundle, rank: Callable[[list[int], int], tuple[list[int], list[float]]]
    ) -> None:
        self._items = bundle.items
        self._index_of = {each.item_id: place for place, each in enumerate(bundle.items, start=1)}
        self._rank = rank

    def recommend(self, item_ids: Sequence[str], k: int) -> dict[str, Any]:
        """Returns the `k` best items after a history, ready for JSON: ids, titles and scores.

        Ids in `item_ids` that are not in the catalog are skipped.
        """
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
    """Returns a ranker that runs the bundle's common-case graph with the service's options."""
    bundle = open_bundle()
    run = common_case_run(BundleLayout(bundle.folder).common_case)

    def rank(history: list[int], k: int) -> tuple[list[int], list[float]]:
        indices, scores = run(history, k)
        return indices[0].tolist(), scores[0].tolist()

    return Ranker(bundle, rank)
