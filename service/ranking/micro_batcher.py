"""Ranks all requests that are ready in one turn of the event loop in one inference.

No request waits for others to join it: a single request is ranked by itself, and the busier a
worker is, the larger its batches and the less each request costs. `service.ranking` says why this
runs on the event loop.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.ranking.batching import answer_by_group, answer_together_or_singly
from service.ranking.recommender import Query, Recommendations, Recommender

MAX_BATCH_SIZE = 8  # larger batches are no cheaper a request, and their first request waits longer

Outcome = Recommendations | Exception


@dataclass(slots=True)  # not frozen: that would triple the time to make one
class _Pending:
    """A request and the future of its answer."""

    recommender: Recommender
    query: Query
    future: "asyncio.Future[Recommendations]"

    def settle(self, outcome: Outcome) -> None:
        """Gives the outcome to the caller, unless it was cancelled meanwhile."""
        if self.future.done():
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class MicroBatcher:
    """Collects the requests of one event-loop turn and ranks those of one recommender at once."""

    def __init__(self) -> None:
        self._pending: list[_Pending] = []

    async def recommend(self, recommender: Recommender, query: Query) -> Recommendations:
        """See Recommender.recommend."""
        loop = asyncio.get_running_loop()
        if not self._pending:
            loop.call_soon(self._rank_pending)  # runs after all requests that are ready now
        future: asyncio.Future[Recommendations] = loop.create_future()
        self._pending.append(_Pending(recommender, query, future))
        return await future

    def _rank_pending(self) -> None:
        pending, self._pending = self._pending, []
        if len(pending) == 1:  # as in most turns: skip the cost of grouping
            (single,) = pending
            single.settle(_outcome(single.recommender, single.query))
            return
        recommenders = [each.recommender for each in pending]
        queries = [each.query for each in pending]
        outcomes = answer_by_group(queries, recommenders, _outcomes)
        for each, outcome in zip(pending, outcomes, strict=True):
            each.settle(outcome)


def _outcomes(recommender: Recommender, queries: Sequence[Query]) -> Iterator[Outcome]:
    for start in range(0, len(queries), MAX_BATCH_SIZE):
        yield from answer_together_or_singly(
            queries[start : start + MAX_BATCH_SIZE],
            recommender.recommend_many,
            lambda query: _outcome(recommender, query),
            failure=Exception,  # an error must reach the callers; nothing else awaits this batch
        )


def _outcome(recommender: Recommender, query: Query) -> Outcome:
    try:
        return recommender.recommend(query)
    except Exception as error:  # raised again where the caller awaits its future
        return error
