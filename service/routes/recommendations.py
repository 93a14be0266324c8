"""Next items for a history that the request brings, a session, or both."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from service.answers import recommendation_response
from service.errors import InvalidRequestError
from service.history.guard import Recall
from service.problems import documented
from service.runtime import RuntimeDep
from service.schemas import RecommendationAnswer, RecommendationRequest
from service.timing import StopwatchDep

router = APIRouter(prefix="/v1", tags=["recommendations"])


@router.post(
    "/recommendations",
    response_model=RecommendationAnswer,
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
)
async def recommend(
    wanted: RecommendationRequest, runtime: RuntimeDep, stopwatch: StopwatchDep
) -> Response:
    """Recommends the next `k` items; stateless when only `history` is given."""
    runtime.check_k(wanted.k)
    if wanted.history is None and wanted.session_id is None:
        raise InvalidRequestError("history", "give a history, a session_id or both")
    with stopwatch.time("history"):
        stored = await runtime.history.read(wanted.session_id) if wanted.session_id else Recall([])
    with stopwatch.time("infer"):
        history = [*stored.history, *(wanted.history or [])]
        recommendations = runtime.recommender.recommend(history, wanted.k, wanted.exclude)
    return recommendation_response(
        recommendations, runtime.model_version, stopwatch, degraded=stored.degraded
    )
