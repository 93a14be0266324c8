"""Recommendation routes: for a history in the request, for a session, or for both."""

import asyncio
from collections.abc import Generator, Sequence
from http import HTTPStatus

import orjson
from fastapi import APIRouter, Response

from service.access.principal import Principal
from service.api.answering import ranked_response
from service.api.authorization import PrincipalDep
from service.api.openapi.document import TIMED
from service.api.problems import documented
from service.api.requests import (
    ScopeDep,
    TurnDep,
    check_query,
    heavy_units,
    query_of,
    stored_history_of,
)
from service.api.responses import (
    encoded_items,
    json_response,
    ranking_content,
    recommendation_content,
)
from service.api.schemas.bodies import BatchAnswer, RecommendationAnswer
from service.api.schemas.queries import BatchRequest, RecommendationRequest
from service.bundles.variants import ServedVariant
from service.events.impressions import Audience
from service.ranking.batching import answer_by_group
from service.ranking.micro_batcher import SLICE_SIZE
from service.ranking.recommender import Query, Recommendations
from service.runtime import Runtime, RuntimeDep
from service.stores.history.guarded import StoredHistory
from service.telemetry.stopwatch import Stopwatch, StopwatchDep

_RESPONSES = TIMED | documented(
    HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE
)

router = APIRouter(prefix="/v1/recommendations", tags=["recommendations"])


@router.post("", response_model=RecommendationAnswer, responses=_RESPONSES)
async def recommend(
    request: RecommendationRequest,
    runtime: RuntimeDep,
    principal: PrincipalDep,
    stopwatch: StopwatchDep,
    scope: ScopeDep,
) -> Response:
    """Recommends the next `k` items. Stores no event; reads a session only with `session_id`."""
    variant = runtime.variants.for_session(request.session_id)
    check_query(runtime, variant, request)
    with stopwatch.time("history"):
        stored = await stored_history_of(runtime, request, principal)
    query = query_of(request, stored)
    audience = runtime.audience(
        request.session_id, principal.tenant, query, consent=request.consent
    )
    return await ranked_response(
        runtime,
        variant,
        query,
        scope,
        stopwatch,
        audience,
        consent=request.consent,
        degraded=stored.degraded,
        explain=request.explain,
    )


@router.post("/batch", response_model=BatchAnswer, responses=_RESPONSES)
async def recommend_batch(
    batch: BatchRequest,
    runtime: RuntimeDep,
    principal: PrincipalDep,
    stopwatch: StopwatchDep,
    turn: TurnDep,
) -> Response:
    """Answers several queries, in their order. If one query is invalid, none is answered."""
    await asyncio.sleep(0)  # other requests pass between parsing, checking and ranking
    served = [runtime.variants.for_session(request.session_id) for request in batch.requests]
    for number, request in enumerate(batch.requests):
        check_query(runtime, served[number], request, f"requests[{number}].")
    with stopwatch.time("history"):
        stored = await _stored_histories(runtime, batch, principal)
    queries = list(map(query_of, batch.requests, stored))
    audiences = [
        runtime.audience(request.session_id, principal.tenant, query, consent=request.consent)
        for request, query in zip(batch.requests, queries, strict=True)
    ]
    # The body's length alone does not show which queries cost more than a plain one.
    turn.charge(
        sum(heavy_units(*each, explain=False) for each in zip(served, queries, strict=True))
    )
    answers, response = await turn.run_slices(
        _in_slices(runtime, served, queries, stored, audiences, stopwatch)
    )
    for request, variant, query, answer in zip(
        batch.requests, served, queries, answers, strict=True
    ):
        if request.consent:
            runtime.offer_to_shadow(variant, query, answer)
    return response


async def _stored_histories(
    runtime: Runtime, batch: BatchRequest, principal: Principal
) -> Sequence[StoredHistory]:
    """Reads the stored history of the session of each query, all at once; `principal`: the sender.

    A history is empty if its query names no session.
    """
    if not any(request.session_id for request in batch.requests):
        await asyncio.sleep(0)
        return [StoredHistory([]) for _ in batch.requests]  # a task for each would cost far more
    return await asyncio.gather(
        *(stored_history_of(runtime, request, principal) for request in batch.requests)
    )


def _in_slices(
    runtime: Runtime,
    served: Sequence[ServedVariant],
    queries: Sequence[Query],
    stored: Sequence[StoredHistory],
    audiences: Sequence[Audience | None],
    stopwatch: Stopwatch,
) -> Generator[None, None, tuple[Sequence[Recommendations], Response]]:
    """Ranks the queries in slices; returns all recommendations and the response to the batch.

    The queries of a slice that have the same variant share an inference. `served`, `stored` and
    `audiences` have the variant, the stored history and the receiver for each query.
    """
    answers, items = list[Recommendations](), list[orjson.Fragment]()
    with stopwatch.time("infer"):
        for start in range(0, len(queries), SLICE_SIZE):
            part = slice(start, start + SLICE_SIZE)
            newest = _recommend_many(served[part], queries[part])
            yield
            answers += newest
            items += [encoded_items(ranking_content(each.ranking)) for each in newest]
            yield
    # Last, because from here on the answers count as shown.
    contents = [
        recommendation_content(
            runtime, variant, answer, stopwatch, audience, degraded=history.degraded, items=encoded
        )
        for variant, answer, history, audience, encoded in zip(
            served, answers, stored, audiences, items, strict=True
        )
    ]
    return answers, json_response({"answers": contents}, {"Server-Timing": stopwatch.header()})


def _recommend_many(
    served: Sequence[ServedVariant], queries: Sequence[Query]
) -> list[Recommendations]:
    """Answers each query with its variant; calls each variant once, with all of its queries."""
    return answer_by_group(
        queries, served, lambda variant, group: variant.recommender.recommend_many(group)
    )
