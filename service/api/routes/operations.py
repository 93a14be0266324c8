"""The route of the operators' page: what is served, and all metrics."""

import socket
import time

import orjson
from fastapi import APIRouter, Response

from service.api.responses import json_response
from service.api.routes.model import model_answer
from service.api.schemas.operations import OperationsAnswer
from service.runtime import RuntimeDep

router = APIRouter(prefix="/v1/operations", tags=["operations"])


@router.get("", response_model=OperationsAnswer)
async def read_operations(runtime: RuntimeDep) -> Response:
    """Describes the served bundles, and returns the metrics of all workers of this replica.

    The samples are those of `GET /metrics`, and the requests of each key. Behind a balancer,
    `replica` says which one answered.
    """
    model = await model_answer(runtime)
    samples = await runtime.metrics.reader.samples()
    return json_response(
        {
            "replica": socket.gethostname(),
            "read_at": round(time.time() * 1000),
            "model": model.model_dump(),
            "samples": orjson.Fragment(samples),
        }
    )
