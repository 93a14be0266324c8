"""Teacher routes: recommendations of the teacher, and their comparison with the student's."""

import logging
from dataclasses import dataclass, replace
from http import HTTPStatus
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from service.admission.gate import Slices
from service.api.authorization import PrincipalDep
from service.api.openapi.document import TIMED
from service.api.problems import documented
from service.api.requests import (
    ScopeDep,
    check_query,
    query_of,
    stored_history_of,
    units_of_filters,
    units_of_search,
)
from service.api.responses import json_response, ranking_content, recommendation_content
from service.api.schemas.bodies import RecommendationQuery
from service.api.schemas.teacher import ComparisonAnswer, TeacherRecommendationAnswer
from service.bundles.variants import ServedVariant
from service.errors import TeacherUnavailableError
from service.events.impressions import Audience
from service.ranking.recommender import Query, Recommendations
from service.runtime import RuntimeDep
from service.teacher.agreement import agreement
from service.teacher.answering import TeacherRecommendations, ask_teacher, teacher_query_for
from service.teacher.client import TeacherQuery
from service.teacher.slow_path import SlowPath
from service.telemetry.stopwatch import StopwatchDep

logger = logging.getLogger(__name__)

_FILTERS_WEIGH = 4  # cost of a mask and the list of denied ids, relative to that of a mask alone

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
class StudentAnswer:
    """A query and the student's answer to it.

    Attributes:
        variant: the variant whose student was asked.
        query: the query that the student answered.
        recommendations: the student's answer, or that of a fallback.
        seconds: time in seconds that the student took.
        degraded: whether the history store did not answer.
        teacher_query: the query to send to the teacher. None: the teacher cannot answer, since the
            catalog has no item of the history, or the query allows no item.
        audience: the receiver of the answer, for its impression; None: no impression.
    """

    variant: ServedVariant
    query: Query
    recommendations: Recommendations
    seconds: float
    degraded: bool
    teacher_query: TeacherQuery | None
    audience: Audience | None = None

    @property
    def is_for_teacher(self) -> bool:
        """Whether the teacher can answer the query: `teacher_query` is not None."""
        return self.teacher_query is not None


async def _ask_student(
    body: RecommendationQuery,
    runtime: RuntimeDep,
    principal: PrincipalDep,
    stopwatch: StopwatchDep,
    scope: ScopeDep,
) -> StudentAnswer:
    """FastAPI dependency: answers the query of the body with the student, in a turn of heavy work.

    The units of the turn include the work of listing the ids that the teacher may not recommend.
    """
    variant = runtime.variants.for_session(body.session_id)
    check_query(runtime, variant, body)
    with stopwatch.time("history"):
        stored = await stored_history_of(runtime, body, principal)
    query = query_of(body, stored)
    units = 1 + _FILTERS_WEIGH * units_of_filters(variant, query) + units_of_search(variant, query)
    with stopwatch.time("infer"):
        async with runtime.admission.heavy.turn(scope, units) as turn:
            answer = await turn.run_slices(_student_answer(variant, query, stored.degraded))
    audience = runtime.audience(body.session_id, principal.tenant, query, consent=body.consent)
    return replace(answer, audience=audience)


def _student_answer(variant: ServedVariant, query: Query, degraded: bool) -> Slices[StudentAnswer]:
    """Answers a query with the student and makes the query to the teacher, in two slices.

    `degraded`: whether the history store did not answer.
    """
    started = perf_counter()
    recommendations = variant.recommender.recommend(query)
    seconds = perf_counter() - started
    yield
    knows_item = recommendations.unknown_items < len(query.history)
    is_for_teacher = knows_item and bool(recommendations.ranking)
    teacher_query = teacher_query_for(variant.recommender, query) if is_for_teacher else None
    return StudentAnswer(variant, query, recommendations, seconds, degraded, teacher_query)


StudentAnswerDep = Annotated[StudentAnswer, Depends(_ask_student)]


@router.post(
    "/teacher/recommendations", response_model=TeacherRecommendationAnswer, responses=_RESPONSES
)
async def recommend_by_teacher(
    runtime: RuntimeDep,
    slow_path: SlowPathDep,
    student: StudentAnswerDep,
    stopwatch: StopwatchDep,
) -> Response:
    """Recommends with the teacher, or with the student (`degraded`) if the teacher does not answer.

    The teacher may recommend fewer than `k` items; no other items are appended. If the catalog has
    no item of the history, the teacher is not asked, and popular items are recommended.
    """
    with stopwatch.time("teacher"):
        teacher = await _ask_teacher(slow_path, student)
    content = recommendation_content(
        runtime,
        student.variant,
        teacher.recommendations if teacher else student.recommendations,
        stopwatch,
        student.audience,
        degraded=_is_degraded(student, teacher),
    )
    content |= _teacher_fields(teacher) if teacher else {"cached": False, "generated_text": None}
    return json_response(content, {"Server-Timing": stopwatch.header()})


@router.post("/compare", response_model=ComparisonAnswer, responses=_RESPONSES)
async def compare(
    slow_path: SlowPathDep, student: StudentAnswerDep, stopwatch: StopwatchDep
) -> Response:
    """Recommends with the student and with the teacher, and measures how far both lists agree."""
    started = perf_counter()
    with stopwatch.time("teacher"):
        teacher = await _ask_teacher(slow_path, student)
    seconds = perf_counter() - started
    result = teacher and agreement(
        student.recommendations.item_ids, teacher.recommendations.item_ids
    )
    content = {
        "variant": student.variant.name,
        "degraded": _is_degraded(student, teacher),
        "unknown_items": student.recommendations.unknown_items,
        "student": _side(student.recommendations, student.seconds)
        | {"model_version": student.variant.model_version},
        "teacher": teacher and _side(teacher.recommendations, seconds) | _teacher_fields(teacher),
        "overlap": result and result.overlap,
        "rank_correlation": result and result.rank_correlation,
    }
    return json_response(content, {"Server-Timing": stopwatch.header()})


async def _ask_teacher(
    slow_path: SlowPath, student: StudentAnswer
) -> TeacherRecommendations | None:
    if student.teacher_query is None:
        return None
    recommender = student.variant.recommender
    try:
        return await ask_teacher(slow_path, recommender, student.query, student.teacher_query)
    except TeacherUnavailableError as error:
        logger.info("the student answers instead of the teacher: %s", error)
        return None


def _is_degraded(student: StudentAnswer, teacher: TeacherRecommendations | None) -> bool:
    is_missing = student.is_for_teacher and teacher is None
    return student.degraded or student.recommendations.degraded or is_missing


def _side(recommendations: Recommendations, seconds: float) -> dict[str, Any]:
    return {
        "source": recommendations.source,
        "latency_ms": round(seconds * 1000, 3),
        "items": ranking_content(recommendations.ranking),
    }


def _teacher_fields(teacher: TeacherRecommendations) -> dict[str, Any]:
    return {
        "model_version": teacher.answer.teacher_version,
        "cached": teacher.cached,
        "generated_text": teacher.answer.generated_text,
    }
