"""The route that compares the served variants by their live figures."""

import logging
from http import HTTPStatus

from anyio import to_thread
from fastapi import APIRouter, Response

from export.contract.records import BundleError
from service.api.problems import documented
from service.api.responses import json_response
from service.api.schemas.experiments import ExperimentsAnswer
from service.errors import NotFoundError
from service.runtime import RuntimeDep

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/experiments", tags=["experiments"])


@router.get("", response_model=ExperimentsAnswer, responses=documented(HTTPStatus.NOT_FOUND))
async def read_experiments(runtime: RuntimeDep) -> Response:
    """Returns live figures of each variant, and compares each variant with the control.

    Intervals are anytime-valid: they cover the truth at all looks together, so you may look at any
    time. They assume that the impressions of a variant are independent of each other.
    """
    if runtime.experiments is None:
        raise NotFoundError("no figures: EXPERIMENTS_PATH is unset")
    control = runtime.variants.control.name
    try:
        content = await to_thread.run_sync(runtime.experiments.content, control)
    except (OSError, BundleError) as error:
        logger.warning("the figures of experiments cannot be read: %s", error)
        raise NotFoundError("no figures yet: run `distilled-recommender experiments`") from None
    return json_response(content)
