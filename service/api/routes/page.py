"""The demo page: its static files, and example histories."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.staticfiles import StaticFiles

from export.contract.bundle import Item
from service.access.security_headers import FOR_PAGES, content_security_policy
from service.api.schemas.bodies import ItemAnswer
from service.ranking.catalog import Catalog
from service.runtime import RuntimeDep

HEADERS: Mapping[str, str] = {**FOR_PAGES, "Content-Security-Policy": content_security_policy()}
MAX_EXAMPLES = 20
_LENGTH = 5
"""Number of items in an example history that is made from popular items."""

_FOLDER = Path(__file__).parents[2] / "static"

router = APIRouter(tags=["page"])


class ExamplesAnswer(BaseModel):
    """Histories to try the service with."""

    histories: Sequence[Sequence[ItemAnswer]] = Field(
        description="items of each history, oldest first"
    )


@router.get("/v1/examples")
async def read_examples(runtime: RuntimeDep) -> ExamplesAnswer:
    """Returns up to 20 histories to try the service with.

    By default, they are made from popular items of the catalog. The setting EXAMPLES can choose
    histories of real users in the bundle, or none.
    """
    chosen, recommender = runtime.settings.examples, runtime.variants.control.recommender
    histories: Iterable[Iterable[Item | None]] = ()
    if chosen == "bundle":
        stored = recommender.bundle.histories[:MAX_EXAMPLES]
        histories = [map(recommender.catalog.find, history) for history in stored]
    elif chosen == "catalog":
        histories = _made(_most_popular(recommender.catalog))
    return ExamplesAnswer(
        histories=[[ItemAnswer(**vars(item)) for item in each if item] for each in histories]
    )


def _most_popular(catalog: Catalog) -> Sequence[Item]:
    """Returns the most popular items, but for hidden ones, as many as all examples have."""
    # Not a search of titles, which would sort all edited items on the event loop.
    shown = ~catalog.hidden.mask
    return [catalog.item(index) for index in catalog.popular(MAX_EXAMPLES * _LENGTH, shown)]


def _made(popular: Sequence[Item]) -> Sequence[Sequence[Item]]:
    """Makes example histories, each a mix of more and less popular items.

    `popular`: items, most popular first.
    """
    number = max(1, len(popular) // _LENGTH)
    return [popular[first::number][:_LENGTH] for first in range(number)]


@router.get("/", include_in_schema=False)
async def read_page(request: Request) -> Response:
    """Returns the demo page."""
    return await _file("index.html", request)


@router.get("/static/{name}", include_in_schema=False)
async def read_static(name: str, request: Request) -> Response:
    """Returns a script, style sheet or image of the demo page."""
    return await _file(name, request)


async def _file(name: str, request: Request) -> Response:
    """Answers with a file of the demo page, or with 304 if the browser has it already.

    Raises:
        HTTPException: 404, there is no such file.
    """
    response = await StaticFiles(directory=_FOLDER).get_response(name, request.scope)
    response.headers.update(HEADERS)
    return response
