"""Routes for operations: liveness, readiness and Prometheus metrics."""

from http import HTTPStatus

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from service.api.problems import documented
from service.api.schemas.bodies import HealthAnswer, ReadinessAnswer
from service.errors import LeavingError
from service.runtime import RuntimeDep

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def is_alive() -> HealthAnswer:
    """Answers 200 as long as the process runs."""
    return HealthAnswer(status="ok")


@router.get("/readyz", responses=documented(HTTPStatus.SERVICE_UNAVAILABLE))
async def is_ready(runtime: RuntimeDep) -> ReadinessAnswer:
    """Answers 200 if this worker should get requests, and 503 once it drains.

    A worker whose history store is lost or refuses to write is ready but degraded, because it still
    answers.
    """
    if runtime.drain.is_draining:
        raise LeavingError
    reachable = await runtime.history.is_reachable()
    return ReadinessAnswer(
        status="ready",
        degraded=not reachable or runtime.history.writes_fail,
        history_store="reachable" if reachable else "lost",
        history_writes="failing" if runtime.history.writes_fail else "working",
        last_write_at=round(runtime.history.last_write_at * 1000) or None,
        teacher=runtime.teacher.slow_path.state if runtime.teacher else "none",
        model_version=runtime.variants.control.model_version,
    )


@router.get("/metrics", response_class=PlainTextResponse)
async def read_metrics(runtime: RuntimeDep) -> Response:
    """Returns the metrics of all workers in Prometheus' text format, without those of keys."""
    return Response(await runtime.metrics.reader.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
