"""Encodes answers as JSON. FastAPI does not validate them; the schemas only document them."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import Response

from export.contract.bundle import Item
from service.bundles.variants import ServedVariant
from service.events.impressions import Audience
from service.ranking.recommender import Recommendations
from service.ranking.rules.types import Selection
from service.runtime import Runtime
from service.stores.history.guarded import StoredHistory
from service.telemetry.stopwatch import Stopwatch

Outcome = Mapping[str, bool | str | None]

_STORED: Outcome = {"stored": True, "reason": None, "logged": None}
_LOGGED: Outcome = {"stored": True, "reason": None, "logged": True}
_NO_CONSENT: Outcome = {"stored": False, "reason": "no_consent", "logged": False}


def json_response(content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Makes an answer with status 200, `content` as JSON and further `headers`."""
    return Response(orjson.dumps(content), headers=headers, media_type="application/json")


def ranking_content(ranking: Sequence[tuple[Item, float]]) -> list[dict[str, Any]]:
    """Returns each item and its score as a dictionary with the fields of RecommendedItem."""
    return [
        {"item_id": item.item_id, "title": item.title, "score": score} for item, score in ranking
    ]


def encoded_items(items: Sequence[Mapping[str, Any]]) -> orjson.Fragment:
    """Encodes the items of an answer as JSON, which `json_response` copies into the answer.

    For a large answer, call this in a thread, because encoding blocks the event loop.
    """
    return orjson.Fragment(orjson.dumps(items))


def recommendation_content(
    runtime: Runtime,
    variant: ServedVariant,
    recommendations: Recommendations,
    stopwatch: Stopwatch,
    audience: Audience | None,
    *,
    degraded: bool,
    items: orjson.Fragment | None = None,
) -> dict[str, Any]:
    """Returns the fields of a RecommendationAnswer; records the answer for metrics and event log.

    Args:
        runtime: the runtime, which gives the answer its id.
        variant: the variant that answered.
        recommendations: the recommendations to send.
        stopwatch: the stopwatch of the request, which keeps the answer until the metrics count it
            at the end of the request.
        audience: the receiver of the answer, for its impression; None: no impression.
        degraded: whether the history store did not answer.
        items: the items of the answer, if they are encoded already.
    """
    degraded = degraded or recommendations.degraded
    recommendation_id = runtime.impressions.shown(
        variant.name, variant.model_version, recommendations, audience, degraded=degraded
    )
    stopwatch.answers.append((variant.name, recommendations.source, degraded))
    content = {
        "recommendation_id": recommendation_id,
        "model_version": variant.model_version,
        "variant": variant.name,
        "source": recommendations.source,
        "degraded": degraded,
        "unknown_items": recommendations.unknown_items,
        "items": ranking_content(recommendations.ranking) if items is None else items,
    }
    if recommendations.shortage is not None or recommendations.left_out_pins:
        content |= shortage_content(recommendations)
    return content


def shortage_content(selection: Recommendations | Selection) -> dict[str, Any]:
    """Returns the fields `shortage` and `left_out_pins` of an answer; omits empty ones."""
    content: dict[str, Any] = {}
    if selection.shortage is not None:
        content["shortage"] = selection.shortage
    if selection.left_out_pins:
        content["left_out_pins"] = selection.left_out_pins
    return content


def recommendation_response(
    runtime: Runtime,
    variant: ServedVariant,
    recommendations: Recommendations,
    stopwatch: Stopwatch,
    audience: Audience | None,
    *,
    degraded: bool,
    more: Mapping[str, Any] | None = None,
    items: orjson.Fragment | None = None,
) -> Response:
    """Makes the response with a RecommendationAnswer and status 200.

    Args:
        runtime: the runtime, which gives the answer its id.
        variant: the variant that answered.
        recommendations: the recommendations to send.
        stopwatch: the stopwatch of the request, for the metrics and the header `Server-Timing`.
        audience: the receiver of the answer, for its impression; None: no impression.
        degraded: whether the history store did not answer.
        more: further fields of the answer.
        items: the items of the answer, if they are encoded already.
    """
    content = recommendation_content(
        runtime, variant, recommendations, stopwatch, audience, degraded=degraded, items=items
    )
    if more:
        content.update(more)
    return json_response(content, {"Server-Timing": stopwatch.header()})


def event_response(
    variant: ServedVariant,
    stored: StoredHistory,
    stopwatch: Stopwatch,
    outcome: Outcome,
) -> Response:
    """Makes the response with an EventAnswer and status 200.

    Args:
        variant: the variant of the event's session, which the answer names.
        stored: the reply of the history store; the answer is degraded if it did not answer.
        stopwatch: the stopwatch of the request, for the header `Server-Timing`.
        outcome: the fields `stored`, `reason` and `logged` of the answer.
    """
    content = {
        "model_version": variant.model_version,
        "variant": variant.name,
        **outcome,
        "degraded": stored.degraded,
    }
    return json_response(content, {"Server-Timing": stopwatch.header()})


def event_outcome(stored: StoredHistory, *, consent: bool) -> Outcome:
    """Returns the fields `stored`, `reason` and `logged` of an EventAnswer.

    `stored`: the reply of the history store. `consent`: whether the user agrees to the storing of
    the event; if False, the event counts as not stored.
    """
    if not consent:
        return _NO_CONSENT
    if stored.not_stored is not None:
        return {"stored": False, "reason": stored.not_stored, "logged": stored.is_logged}
    if stored.is_logged is None:
        return _STORED
    return _LOGGED if stored.is_logged else {**_STORED, "logged": False}
