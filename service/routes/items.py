"""Items for people: titles to ids and back."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query

from service.errors import NotFoundError
from service.problems import documented
from service.runtime import RuntimeDep
from service.schemas import ItemAnswer, ItemsAnswer

router = APIRouter(prefix="/v1/items", tags=["items"])


@router.get("", response_model=ItemsAnswer, responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY))
async def search_items(
    runtime: RuntimeDep,
    query: Annotated[str, Query(max_length=256, description="words of the title")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ItemsAnswer:
    """Finds items whose title holds every word of `query`, most popular first."""
    found = runtime.recommender.catalog.search(query, limit)
    return ItemsAnswer(items=[ItemAnswer(**vars(item)) for item in found])


@router.get(
    "/{item_id}",
    response_model=ItemAnswer,
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND),
)
async def read_item(
    item_id: Annotated[str, Path(max_length=256)], runtime: RuntimeDep
) -> ItemAnswer:
    """Tells of one item."""
    item = runtime.recommender.catalog.find(item_id)
    if item is None:
        raise NotFoundError(f"no item {item_id!r}")
    return ItemAnswer(**vars(item))
