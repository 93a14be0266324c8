"""Answers as bytes, written once: the schemas document them, nothing validates them again."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from anyio import to_thread
from fastapi import Response

from export.contract.bundle import Item
from service.bundles.variants import ServedVariant
from service.errors import StudentError
from service.ranking.explanations import Reasons, explain
from service.ranking.recommender import Query, Recommendations
from service.stores.history.guarded import StoredHistory
from service.telemetry.stopwatch import Stopwatch


def json_response(content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A 200 with `content` as JSON."""
    return Response(orjson.dumps(content), headers=headers, media_type="application/json")


def ranking_content(ranking: Sequence[tuple[Item, float]]) -> list[dict[str, Any]]:
    """RecommendedItems."""
    return [
        {"item_id": item.item_id, "title": item.title, "score": score} for item, score in ranking
    ]


def recommendation_content(
    served: ServedVariant, recommendations: Recommendations, stopwatch: Stopwatch, *, degraded: bool
) -> dict[str, Any]:
    """A RecommendationAnswer, counted as one; `degraded` tells of the store."""
    degraded = degraded or recommendations.degraded
    stopwatch.answers.append((served.variant, recommendations.source, degraded))
    return {
        "model_version": served.model_version,
        "variant": served.variant,
        "source": recommendations.source,
        "degraded": degraded,
        "unknown_items": recommendations.unknown_items,
        "items": ranking_content(recommendations.ranking),
    }


def recommendation_response(
    served: ServedVariant,
    recommendations: Recommendations,
    stopwatch: Stopwatch,
    *,
    degraded: bool,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """A RecommendationAnswer; `more` adds fields."""
    content = recommendation_content(served, recommendations, stopwatch, degraded=degraded)
    if more:
        content.update(more)
    return json_response(content, {"Server-Timing": stopwatch.header()})


async def explained_response(
    served: ServedVariant,
    wanted: Query,
    recommendations: Recommendations,
    stopwatch: Stopwatch,
    *,
    degraded: bool,
) -> Response:
    """A RecommendationAnswer whose items tell their reasons; a student that fails has none."""
    with stopwatch.time("explain"):
        try:
            reasons = await to_thread.run_sync(explain, served.recommender, wanted, recommendations)
        except StudentError:
            degraded, reasons = True, [[] for _ in recommendations.ranking]
    content = recommendation_content(served, recommendations, stopwatch, degraded=degraded)
    for item, of_item in zip(content["items"], reasons, strict=True):
        item["reasons"] = _reasons(of_item)
    return json_response(content, {"Server-Timing": stopwatch.header()})


def event_response(
    served: ServedVariant, recall: StoredHistory, stopwatch: Stopwatch, *, is_stored: bool
) -> Response:
    """An EventAnswer."""
    content = {
        "model_version": served.model_version,
        "variant": served.variant,
        "stored": is_stored,
        "degraded": recall.degraded,
    }
    return json_response(content, {"Server-Timing": stopwatch.header()})


def _reasons(reasons: Reasons) -> Sequence[Mapping[str, Any]]:
    return [
        {"item_id": item.item_id, "title": item.title, "score_drop": drop} for item, drop in reasons
    ]
