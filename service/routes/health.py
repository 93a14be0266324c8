"""Whether the process lives and whether it answers."""

from fastapi import APIRouter

from service.runtime import RuntimeDep
from service.schemas import HealthAnswer, ReadinessAnswer

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def is_alive() -> HealthAnswer:
    """Says that the process runs."""
    return HealthAnswer(status="ok")


@router.get("/readyz")
async def is_ready(runtime: RuntimeDep) -> ReadinessAnswer:
    """Says that requests are answered; a lost history store degrades answers, it stops none."""
    reachable = await runtime.history.is_reachable()
    return ReadinessAnswer(
        status="ready",
        degraded=not reachable,
        history_store="reachable" if reachable else "lost",
        model_version=runtime.model_version,
    )
