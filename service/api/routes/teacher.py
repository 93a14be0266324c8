"""The slow path: what the LLM recommends, and how far the student agrees with it."""

import logging
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from service.api.openapi import TIMED
from service.api.problems import documented
from service.api.requests import check_query, query_of, stored_history_of
from service.api.responses import json_response, ranking_content, recommendation_content
from service.api.schemas import RecommendationQuery
from service.api.teacher_schemas import ComparisonAnswer, TeacherRecommendationAnswer
from service.bundles.variants import ServedVariant
from service.errors import TeacherUnavailableError
from service.ranking.recommender import Query, Recommendations
from service.runtime import RuntimeDep
from service.teacher.agreement import agreement
from service.teacher.answering import TeacherRecommendations, ask_teacher
from service.teacher.slow_path import SlowPath
from service.telemetry.stopwatch import StopwatchDep

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1", tags=["teacher"])

_RESPONSES = TIMED | documented(
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


async def _slow_path(runtime: RuntimeDep) -> SlowPath:
    return runtime.slow_path


SlowPathDep = Annotated[SlowPath, Depends(_slow_path)]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query with the student's answer to it; `degraded` tells of the history store."""

    served: ServedVariant
    wanted: Query
    student: Recommendations
    student_seconds: float
    degraded: bool

    @property
    def is_for_teacher(self) -> bool:
        """Whether there is something for the LLM to read, and something that may be answered."""
        is_readable = self.student.unknown_items < len(self.wanted.history)
        return is_readable and bool(self.student.ranking)


async def _asked(query: RecommendationQuery, runtime: RuntimeDep, stopwatch: StopwatchDep) -> Asked:
    served = runtime.models.of(query.session_id)
    check_query(runtime, served, query)
    with stopwatch.time("history"):
        stored = await stored_history_of(runtime, query)
    wanted = query_of(query, stored)
    started = perf_counter()
    with stopwatch.time("infer"):
        student = served.recommender.recommend(wanted)
    return Asked(served, wanted, student, perf_counter() - started, stored.degraded)


AskedDep = Annotated[Asked, Depends(_asked)]


@router.post(
    "/teacher/recommendations", response_model=TeacherRecommendationAnswer, responses=_RESPONSES
)
async def recommend_by_teacher(
    slow_path: SlowPathDep, asked: AskedDep, stopwatch: StopwatchDep
) -> Response:
    """Lets the LLM recommend; the student answers, `degraded`, when it is late, failing or lost.

    The teacher may answer fewer than `k` items: nothing fills up what cannot be used of its list.
    Where the catalog knows nothing of the history, there is nothing to read: popular items answer.
    """
    with stopwatch.time("teacher"):
        teacher = await _ask(slow_path, asked)
    content = recommendation_content(
        asked.served,
        teacher.recommendations if teacher else asked.student,
        stopwatch,
        degraded=_is_degraded(asked, teacher),
    )
    content |= _told(teacher) if teacher else {"cached": False, "generated_text": None}
    return json_response(content, {"Server-Timing": stopwatch.header()})


@router.post("/compare", response_model=ComparisonAnswer, responses=_RESPONSES)
async def compare(slow_path: SlowPathDep, asked: AskedDep, stopwatch: StopwatchDep) -> Response:
    """Puts one history to student and teacher, and tells how far they agree."""
    started = perf_counter()
    with stopwatch.time("teacher"):
        teacher = await _ask(slow_path, asked)
    seconds = perf_counter() - started
    agreed = teacher and agreement(asked.student.item_ids, teacher.recommendations.item_ids)
    content = {
        "variant": asked.served.variant,
        "degraded": _is_degraded(asked, teacher),
        "unknown_items": asked.student.unknown_items,
        "student": _side(asked.student, asked.student_seconds)
        | {"model_version": asked.served.model_version},
        "teacher": teacher and _side(teacher.recommendations, seconds) | _told(teacher),
        "overlap": agreed and agreed.overlap,
        "rank_correlation": agreed and agreed.rank_correlation,
    }
    return json_response(content, {"Server-Timing": stopwatch.header()})


async def _ask(slow_path: SlowPath, asked: Asked) -> TeacherRecommendations | None:
    if not asked.is_for_teacher:
        return None
    try:
        return await ask_teacher(slow_path, asked.served.recommender, asked.wanted)
    except TeacherUnavailableError as error:
        logger.info("the student answers for the teacher: %s", error)
        return None


def _is_degraded(asked: Asked, teacher: TeacherRecommendations | None) -> bool:
    is_missed = asked.is_for_teacher and teacher is None
    return asked.degraded or asked.student.degraded or is_missed


def _side(recommendations: Recommendations, seconds: float) -> dict[str, Any]:
    return {
        "source": recommendations.source,
        "latency_ms": round(seconds * 1000, 3),
        "items": ranking_content(recommendations.ranking),
    }


def _told(teacher: TeacherRecommendations) -> dict[str, Any]:
    return {
        "model_version": teacher.answer.teacher_version,
        "cached": teacher.cached,
        "generated_text": teacher.answer.generated_text,
    }
