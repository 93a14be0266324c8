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

    histories: Sequence[Sequence[ItemAnswer]] = Field(description="items, oldest first")


@router.get("/v1/examples")
async def read_examples(runtime: RuntimeDep) -> ExamplesAnswer:
    """Gives some real histories, those that the bundle has to warm up with."""
    recommender = runtime.variants.control.recommender
    histories = [
        [ItemAnswer(**vars(item)) for item in map(recommender.catalog.find, history) if item]
        for history in recommender.bundle.histories[:MAX_EXAMPLES]
    ]
    return ExamplesAnswer(histories=histories)


@router.get("/", include_in_schema=False)
async def read_page(request: Request) -> Response:
    """Sends the page."""
    return await _file("index.html", request)


@router.get("/static/{name}", include_in_schema=False)
async def read_static(name: str, request: Request) -> Response:
    """Sends a script, style or image of the page."""
    return await _file(name, request)


async def _file(name: str, request: Request) -> Response:
    """Sends a file, or 304 to a browser that has it; raises HTTPException 404 if there is none."""
    response = await StaticFiles(directory=_FOLDER).get_response(name, request.scope)
    response.headers.update(HEADERS)
    return response
