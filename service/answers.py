"""Answers as bytes, written once: the schemas document them, nothing validates them again."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response

from service.history.guard import Recall
from service.recommender import Recommendations
from service.timing import Stopwatch


def json_response(content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A 200 with `content` as JSON."""
    return Response(orjson.dumps(content), headers=headers, media_type="application/json")


def recommendation_response(
    recommendations: Recommendations,
    model_version: str,
    stopwatch: Stopwatch,
    *,
    degraded: bool,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """A RecommendationAnswer; `degraded` tells of the store, `more` adds fields."""
    content = {
        "model_version": model_version,
        "source": recommendations.source,
        "degraded": degraded or recommendations.degraded,
        "unknown_items": recommendations.unknown_items,
        "items": [
            {"item_id": item.item_id, "title": item.title, "score": score}
            for item, score in recommendations.ranking
        ],
    }
    if more:
        content.update(more)
    return json_response(content, {"Server-Timing": stopwatch.header()})


def event_response(model_version: str, recall: Recall, stopwatch: Stopwatch) -> Response:
    """An EventAnswer."""
    content = {
        "model_version": model_version,
        "stored": not recall.degraded,
        "degraded": recall.degraded,
    }
    return json_response(content, {"Server-Timing": stopwatch.header()})
