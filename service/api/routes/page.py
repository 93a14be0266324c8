"""The demo page: its static files, and real histories to try it with."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.staticfiles import StaticFiles

from service.api.schemas import ItemAnswer
from service.runtime import RuntimeDep

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-cache",  # cached, but revalidated by ETag
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
MAX_EXAMPLES = 20
_FOLDER = Path(__file__).parents[2] / "static"

router = APIRouter(tags=["page"])


class ExamplesAnswer(BaseModel):
    """Real histories to try the service with."""

    histories: Sequence[Sequence[ItemAnswer]] = Field(
        description="items of each history, oldest first"
    )


@router.get("/v1/examples")
async def read_examples(runtime: RuntimeDep) -> ExamplesAnswer:
    """Returns up to 20 of the bundle's real histories, which the service also warms up with."""
    recommender = runtime.variants.control.recommender
    histories = [
        [ItemAnswer(**vars(item)) for item in map(recommender.catalog.find, history) if item]
        for history in recommender.bundle.histories[:MAX_EXAMPLES]
    ]
    return ExamplesAnswer(histories=histories)


@router.get("/", include_in_schema=False)
async def read_page(request: Request) -> Response:
    """Returns the demo page."""
    return await _file("index.html", request)


@router.get("/static/{name}", include_in_schema=False)
async def read_static(name: str, request: Request) -> Response:
    """Returns a script, style sheet or image of the demo page."""
    return await _file(name, request)


async def _file(name: str, request: Request) -> Response:
    """Answers with a file of the page, or with 304 if the browser has it already.

    Raises:
        HTTPException: 404, there is no such file.
    """
    response = await StaticFiles(directory=_FOLDER).get_response(name, request.scope)
    response.headers.update(HEADERS)
    return response
