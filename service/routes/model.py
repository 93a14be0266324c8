"""What is served."""

from fastapi import APIRouter

from service.runtime import RuntimeDep
from service.schemas import ModelAnswer

router = APIRouter(prefix="/v1/model", tags=["model"])


@router.get("")
async def read_model(runtime: RuntimeDep) -> ModelAnswer:
    """Tells which bundle answers, how well it did and where it comes from."""
    return ModelAnswer.model_validate(runtime.recommender.manifest, from_attributes=True)
