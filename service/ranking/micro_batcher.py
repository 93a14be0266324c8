"""Micro-batching: requests that are ready in the same turn of the event loop share an inference.

No request waits for others to arrive: if only one is ready, it is ranked at once. The busier a
worker is, the larger its batches are, and the less of the worker's time each request takes. While
requests are refused, a batch waits for two more turns, so that more requests share it. The worker
then answers more requests, and answers them sooner.

If more requests are ready than a batch may have, the answers of the first batch are sent before the
second is ranked. So clients read the first answers meanwhile, and the event loop is held by one
inference at a time.

`service/ranking/__init__.py` says why inference runs on the event loop.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.ranking.batching import answer_by_group, answer_together_or_singly
from service.ranking.recommender import Query, Recommendations, Recommender

MAX_BATCH_SIZE = 8
"""Maximum number of requests per inference.

Larger batches would not lower the time per request, but would let each request wait longer.
"""

SLICE_SIZE = 2
"""Number of queries of heavy work that a thread ranks before it lets the event loop run.

On one core, requests on the event loop wait for at least a slice.
"""

Outcome = Recommendations | Exception


@dataclass(slots=True)  # not frozen: that would triple the time to make one
class _Pending:
    """A request that waits to be ranked, and the future that its caller awaits."""

    recommender: Recommender
    query: Query
    future: "asyncio.Future[Recommendations]"

    def settle(self, outcome: Outcome) -> None:
        """Sets the result or the error of the future, unless the caller was cancelled."""
        if self.future.done():
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class MicroBatcher:
    """Collects the requests of one event-loop turn and ranks them in batches.

    All requests of a batch have the same recommender. A batch has at most `MAX_BATCH_SIZE`
    requests.
    """

    def __init__(self, is_refusing: Callable[[], bool] = lambda: False) -> None:
        """Makes a batcher without requests.

        `is_refusing`: returns whether the worker refused light requests a moment ago; if so, a
        batch waits for two more turns of the event loop.
        """
        self._pending: list[_Pending] = []
        self._is_refusing = is_refusing

    async def recommend(self, recommender: Recommender, query: Query) -> Recommendations:
        """Answers `query` with `recommender`, in a batch with other requests of this turn.

        Raises:
            InvalidRequestError: a filter names an attribute that no item has.
        """
        loop = asyncio.get_running_loop()
        if not self._pending:
            if self._is_refusing():
                loop.call_soon(loop.call_soon, loop.call_soon, self._rank_pending)
            else:
                loop.call_soon(self._rank_pending)  # runs after all requests that are ready now
        future: asyncio.Future[Recommendations] = loop.create_future()
        self._pending.append(_Pending(recommender, query, future))
        return await future

    def _rank_pending(self) -> None:
        pending, self._pending = self._pending[:MAX_BATCH_SIZE], self._pending[MAX_BATCH_SIZE:]
        if self._pending:  # the next turn makes and sends the answers of this batch
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._rank_pending)
        if len(pending) == 1:  # the case in most turns, which needs no grouping
            (single,) = pending
            single.settle(_outcome(single.recommender, single.query))
            return
        recommenders = [each.recommender for each in pending]
        queries = [each.query for each in pending]
        outcomes = answer_by_group(queries, recommenders, _outcomes)
        for each, outcome in zip(pending, outcomes, strict=True):
            each.settle(outcome)


def _outcomes(recommender: Recommender, queries: Sequence[Query]) -> Sequence[Outcome]:
    return answer_together_or_singly(
        queries,
        recommender.recommend_many,
        lambda query: _outcome(recommender, query),
        failure=Exception,  # an error must reach the callers; nothing else awaits this batch
    )


def _outcome(recommender: Recommender, query: Query) -> Outcome:
    try:
        return recommender.recommend(query)
    except Exception as error:  # raised again where the caller awaits its future
        return error
