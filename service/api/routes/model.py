"""Model routes: describe the served bundles, activate another bundle, roll back."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from anyio import to_thread
from fastapi import APIRouter

from export.contract.bundles_folder import BundleLink
from service.api.problems import documented
from service.api.schemas.bodies import Activation, ModelAnswer, Rollback, VariantAnswer
from service.bundles.variants import VariantSlot
from service.runtime import Runtime, RuntimeDep

router = APIRouter(prefix="/v1/model", tags=["model"])

_ADMIN: dict[str, Any] = {
    "responses": documented(
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    ),
}


@router.get("")
async def read_model(runtime: RuntimeDep) -> ModelAnswer:
    """Describes the served bundle, with its metrics and provenance, and all variants."""
    return await model_answer(runtime)


async def model_answer(runtime: Runtime) -> ModelAnswer:
    """Describes the bundle of the control, and all variants."""
    manifest = runtime.variants.control.recommender.manifest
    variants = [await _variant(slot) for slot in runtime.variants.slots]
    return ModelAnswer.model_validate({**asdict(manifest), "variants": variants})


@router.post("/activate", **_ADMIN)
async def activate_model(activation: Activation, runtime: RuntimeDep) -> VariantAnswer:
    """Serves another bundle: moves the link BUNDLE_PATH to another bundle in the same folder.

    This worker loads, checks and warms up the bundle before it answers; all others follow within
    BUNDLES_POLL_SECONDS. Requests in progress are finished with the old bundle. If the bundle fails
    a check, the answer is an error, and all workers keep the old bundle.
    """
    await runtime.hot_swap.activate(activation.variant, activation.bundle)
    return await _variant(runtime.variants.slot(activation.variant))


@router.post("/rollback", **_ADMIN)
async def rollback_model(rollback: Rollback, runtime: RuntimeDep) -> VariantAnswer:
    """Serves the previous bundle again; a second call undoes the first."""
    await runtime.hot_swap.rollback(rollback.variant)
    return await _variant(runtime.variants.slot(rollback.variant))


async def _variant(slot: VariantSlot) -> VariantAnswer:
    link = BundleLink(slot.path)
    return VariantAnswer(
        variant=slot.name,
        weight=slot.weight,
        model_version=slot.current.model_version,
        bundle=slot.current.recommender.bundle.folder.name,
        # Read in a thread, because the folder may be on a slow network file system.
        previous_bundle=await to_thread.run_sync(lambda: link.previous),
        refused=slot.refusal,
    )
