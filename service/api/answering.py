"""Ranks the query of a request: light ones on the event loop, heavy ones in a turn in a thread."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Response
from starlette.types import Scope

from service.admission.gate import Slices
from service.api.requests import heavy_units
from service.api.responses import encoded_items, ranking_content, recommendation_response
from service.bundles.variants import ServedVariant
from service.errors import StudentError
from service.events.impressions import Audience
from service.ranking.explanations import Reasons, explain_in_slices
from service.ranking.recommender import Query, Recommendations
from service.runtime import Runtime
from service.telemetry.stopwatch import Stopwatch


async def ranked_response(
    runtime: Runtime,
    variant: ServedVariant,
    query: Query,
    scope: Scope,
    stopwatch: Stopwatch,
    audience: Audience | None,
    *,
    consent: bool,
    degraded: bool,
    explain: bool = False,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """Ranks a query; returns the response with a RecommendationAnswer.

    With consent, offers the answer to shadow traffic.

    Args:
        runtime: the runtime, which gives the answer its id.
        variant: the variant that answers.
        query: the query to rank.
        scope: the ASGI scope of the request, whose turn is used if it has one.
        stopwatch: the stopwatch of the request, which also measures ranking and explaining.
        audience: the receiver of the answer, for its impression; None: no impression.
        consent: whether the user agrees that the answer is compared with the teacher's.
        degraded: whether the history store did not answer.
        explain: whether each item gets its reasons.
        more: further fields of the answer.

    Raises:
        OverloadedError: the query is heavy, and it is refused, its time is over or its sender has
            left.
    """
    if units := heavy_units(variant, query, explain=explain):
        slices = _in_slices(
            runtime, variant, query, stopwatch, audience, explain, degraded=degraded, more=more
        )
        async with runtime.admission.heavy.turn(scope, units) as turn:
            answer, response = await turn.run_slices(slices)
    else:
        with stopwatch.time("infer"):
            answer = await runtime.micro_batcher.recommend(variant.recommender, query)
        response = recommendation_response(
            runtime, variant, answer, stopwatch, audience, degraded=degraded, more=more
        )
    if consent:
        runtime.offer_to_shadow(variant, query, answer)
    return response


def _in_slices(
    runtime: Runtime,
    variant: ServedVariant,
    query: Query,
    stopwatch: Stopwatch,
    audience: Audience | None,
    explain: bool,
    *,
    degraded: bool,
    more: Mapping[str, Any] | None,
) -> Slices[tuple[Recommendations, Response]]:
    """Ranks a query in slices; returns the recommendations and the response with them.

    If `explain`, each item gets its reasons. If the student fails to explain, `reasons` are empty
    and the answer is degraded. `degraded`: whether the history store did not answer. `more`:
    further fields of the answer.
    """
    with stopwatch.time("infer"):
        answer = variant.recommender.recommend(query)
    items = ranking_content(answer.ranking)
    yield
    if explain:
        with stopwatch.time("explain"):
            try:
                reasons = yield from explain_in_slices(variant.recommender, query, answer)
            except StudentError:
                degraded, reasons = True, [[] for _ in items]
        for item, item_reasons in zip(items, reasons, strict=True):
            item["reasons"] = _reasons(item_reasons)
        yield
    encoded = encoded_items(items)
    yield
    # Last, because from here on the answer counts as shown.
    return answer, recommendation_response(
        runtime, variant, answer, stopwatch, audience, degraded=degraded, more=more, items=encoded
    )


def _reasons(reasons: Reasons) -> Sequence[Mapping[str, Any]]:
    return [
        {"item_id": item.item_id, "title": item.title, "score_drop": drop} for item, drop in reasons
    ]
