"""Handles a click in the way that all peers share: store it, read the history, rank, answer.

An engineer who serves the same graph without this project would write this. Four Redis commands
store the click and read the history in one round trip. The graph runs with the service's session
options. The answer has ids, titles and scores. A peer that gathers requests into batches stores all
clicks of a batch in one round trip, and ranks them in one run of the graph. Idempotency, fallbacks,
filters, added items, metrics and problem documents are left out, which makes the peers faster.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from benchmarks.subjects.bare_graph import common_case_batch_run, common_case_run
from export.contract.bundle import Bundle, BundleLayout, load_bundle
from service.ranking.batching import answer_by_group

MAX_STORED_LENGTH = 200
TTL_SECONDS = 7 * 24 * 3600
COMMANDS_PER_CLICK = 4  # of `store_click`, of which the last one reads the history

Histories = Sequence[Sequence[str]]
"""Histories of several sessions, as item ids, oldest first."""

Ranked = tuple[list[int], list[float]]
"""Item indices, best first, and their scores."""


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

    def __init__(self, bundle: Bundle, rank: Callable[[list[int], int], Ranked]) -> None:
        self._items = bundle.items
        self._index_of = {each.item_id: place for place, each in enumerate(bundle.items, start=1)}
        self._rank = rank

    def recommend(self, item_ids: Sequence[str], k: int) -> dict[str, Any]:
        """Returns the `k` best items after a history, ready for JSON: ids, titles and scores.

        Ids in `item_ids` that are not in the catalog are skipped.
        """
        return self.answer(*self._rank(self.known(item_ids), k))

    def known(self, item_ids: Sequence[str]) -> list[int]:
        """Returns the item indices of a history, without items that are not in the catalog."""
        return [self._index_of[each] for each in item_ids if each in self._index_of]

    def answer(self, indices: Sequence[int], scores: Sequence[float]) -> dict[str, Any]:
        """Returns a ranking ready for JSON: ids, titles and scores."""
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

    def rank(history: list[int], k: int) -> Ranked:
        indices, scores = run(history, k)
        return indices[0].tolist(), scores[0].tolist()

    return Ranker(bundle, rank)


def onnx_batch_ranker() -> Callable[[Sequence[ClickRequest], Histories], list[dict[str, Any]]]:
    """Returns a function that ranks a batch: clicks and the histories of their sessions.

    Clicks with the same `k` and windows of one length share a run of the common-case graph.
    """
    bundle = open_bundle()
    longest = bundle.manifest.max_history_length
    run = common_case_batch_run(BundleLayout(bundle.folder).common_case)

    def rank(group: tuple[int, int], histories: Sequence[list[int]]) -> Iterable[Ranked]:
        indices, scores = run(histories, group[0])
        return zip(indices.tolist(), scores.tolist(), strict=True)

    ranker = Ranker(bundle, lambda history, k: next(iter(rank((k, 0), [history]))))

    def recommend(clicks: Sequence[ClickRequest], stored: Histories) -> list[dict[str, Any]]:
        histories = [ranker.known(each) for each in stored]
        groups = [
            (click.k, min(len(each), longest))
            for click, each in zip(clicks, histories, strict=True)
        ]
        return [ranker.answer(*each) for each in answer_by_group(histories, groups, rank)]

    return recommend


def store_clicks(pipeline: Any, clicks: Sequence[ClickRequest]) -> Any:
    """Adds the commands of `store_click` for several clicks to one pipeline, and returns it."""
    for click in clicks:
        store_click(pipeline, click)
    return pipeline


def histories_of(results: Sequence[Any]) -> Histories:
    """Returns the histories among the results of the pipeline that `store_clicks` has filled."""
    return results[COMMANDS_PER_CLICK - 1 :: COMMANDS_PER_CLICK]
