"""Requests that are ready at the same moment are ranked in one run of the graph.

A batch is whatever came in the same turn of the event loop: nobody waits for company, a single
request is ranked alone, and the busier a worker is, the larger its batches and the less each costs.
"""

import asyncio
from collections.abc import Sequence

from service.ranking.recommender import Query, Recommendations, Recommender

MAX_BATCH_SIZE = 8  # no cheaper beyond, and the first of a batch waits for the last

PendingQuery = tuple[Recommender, Query, "asyncio.Future[Recommendations]"]


class MicroBatcher:
    """Asks recommenders for several requests at once."""

    def __init__(self) -> None:
        self._asked: list[PendingQuery] = []

    async def recommend(self, recommender: Recommender, wanted: Query) -> Recommendations:
        """See Recommender.recommend."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            # Requests that are ready now run before this does.
            loop.call_soon(self._answer_all)
        answer: asyncio.Future[Recommendations] = loop.create_future()
        self._asked.append((recommender, wanted, answer))
        return await answer

    def _answer_all(self) -> None:
        asked, self._asked = self._asked, []
        of_recommender: dict[Recommender, list[PendingQuery]] = {}
        for each in asked:
            of_recommender.setdefault(each[0], []).append(each)
        for of_one in of_recommender.values():
            for start in range(0, len(of_one), MAX_BATCH_SIZE):
                _answer(of_one[start : start + MAX_BATCH_SIZE])


def _answer(asked: list[PendingQuery]) -> None:
    answers = _answers_of(asked) if len(asked) > 1 else None
    if answers is None:
        for each in asked:
            _answer_alone(*each)
        return
    for (_, _, due), answer in zip(asked, answers, strict=True):
        if not due.done():
            due.set_result(answer)


def _answers_of(asked: list[PendingQuery]) -> Sequence[Recommendations] | None:
    """One run's answers; None where it fails, so that each is asked alone and told its own."""
    try:
        return asked[0][0].recommend_all([wanted for _, wanted, _ in asked])
    except Exception:  # nobody else would ever tell those who wait
        return None


def _answer_alone(
    recommender: Recommender, wanted: Query, due: "asyncio.Future[Recommendations]"
) -> None:
    if due.done():  # whoever asked has gone
        return
    try:
        due.set_result(recommender.recommend(wanted))
    except Exception as error:  # whatever it is belongs to whoever asked
        due.set_exception(error)
