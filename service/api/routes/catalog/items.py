"""Item routes: search by title, lookup, similar items; adding, editing and removing items."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Response

from export.contract.bundle import Item
from service.admission.gate import Turn
from service.api.problems import documented
from service.api.requests import TurnDep, selection_query, selection_units
from service.api.responses import json_response, ranking_content, shortage_content
from service.api.schemas.bodies import ItemAnswer, ItemsAnswer, KInQuery, SimilarItemsAnswer
from service.api.schemas.items import AddedItemAnswer, ItemEditAnswer, ItemPatch, NewItem
from service.api.schemas.queries import SimilarItemsRequest
from service.bundles.variants import ServedVariant
from service.errors import InvalidRequestError, NotFoundError, TeacherUnavailableError
from service.http.ids_in_paths import ItemIdInPath
from service.ranking.recommender import Query as RankerQuery
from service.runtime import RuntimeDep
from service.settings import DEFAULT_K
from service.stores.items.protocol import AddedItem

router = APIRouter(prefix="/v1/items", tags=["items"])


@router.get("", response_model=ItemsAnswer, responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY))
async def search_items(
    runtime: RuntimeDep,
    turn: TurnDep,
    query: Annotated[
        str, Query(max_length=256, description="words that the title contains; empty: all items")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=100, description="maximum number of items")] = 20,
) -> ItemsAnswer:
    """Finds items whose title contains every word of `query`, most popular first."""
    catalog = runtime.variants.control.recommender.catalog
    found = await turn.run(catalog.search, query, limit)
    return ItemsAnswer(items=[ItemAnswer(**vars(item)) for item in found])


@router.post(
    "",
    responses=documented(
        HTTPStatus.CONFLICT,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
async def add_item(item: NewItem, runtime: RuntimeDep) -> AddedItemAnswer:
    """Adds an item that is not in the bundle; students that use LLM embeddings recommend it.

    This worker recommends the item at once, all others within ITEMS_POLL_SECONDS. The item is
    stored and survives a restart. It replaces an added item with the same id, with its changed
    title and attributes; a hidden item stays hidden. If `embedding` is missing, the teacher embeds
    the title, so a teacher must be connected.
    """
    numbers = item.embedding or (await runtime.slow_path.embed([item.title]))[0]
    embedding = np.array(numbers, dtype="<f4")
    added = AddedItem(
        Item(item.item_id, item.title, attributes=item.attributes), embedding.tobytes()
    )
    try:
        variants = await runtime.added_items.add(added)
    except InvalidRequestError as error:
        if item.embedding:
            raise
        raise TeacherUnavailableError(f"the teacher's embedding {error.message}") from error
    await runtime.item_edits.keep_hidden_only(item.item_id)
    return AddedItemAnswer(**vars(added.item), variants=variants)


@router.get(
    "/{item_id}",
    response_model=ItemAnswer,
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND),
)
async def read_item(item_id: ItemIdInPath, runtime: RuntimeDep) -> ItemAnswer:
    """Returns one item of the catalog. Send a `/` in its id as `%2F`."""
    return ItemAnswer(**vars(_find_item(runtime.variants.control, item_id)))


@router.patch(
    "/{item_id}",
    response_model=ItemEditAnswer,
    responses=documented(
        HTTPStatus.CONFLICT,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
async def edit_item(item_id: ItemIdInPath, patch: ItemPatch, runtime: RuntimeDep) -> Response:
    """Hides an item, shows it again, or changes its title or attributes.

    The item may be in the bundle or added. This worker applies the change at once, all others
    within ITEMS_POLL_SECONDS. The change survives restarts and new bundles. A hidden item is
    neither recommended nor found, but the student still reads it in histories.
    """
    edit = await runtime.item_edits.edit(item_id, patch.model_dump(exclude_unset=True))
    return json_response(asdict(edit))


@router.delete(
    "/{item_id}",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=documented(
        HTTPStatus.CONFLICT,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
async def remove_item(item_id: ItemIdInPath, runtime: RuntimeDep) -> Response:
    """Removes an added item and its changes; 204 even if it did not exist.

    Items of the bundle cannot be removed; hide them instead. If the bundle has an item that was
    added before, the bundle's item stays, hidden and changed as it was.
    """
    await runtime.added_items.remove(item_id)
    if not any(runtime.added_items.bundles_with(item_id)):
        await runtime.item_edits.forget(item_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get(
    "/{item_id}/similar",
    response_model=SimilarItemsAnswer,
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND),
)
async def read_similar_items(
    item_id: ItemIdInPath, runtime: RuntimeDep, turn: TurnDep, k: KInQuery = DEFAULT_K
) -> Response:
    """Returns the `k` items whose vectors have the largest cosine similarity to the item's."""
    runtime.check_k(k)
    variant = runtime.variants.control
    _find_item(variant, item_id)
    return await _similar_items(variant, RankerQuery([item_id], k), turn)


@router.post(
    "/{item_id}/similar",
    response_model=SimilarItemsAnswer,
    responses=documented(
        HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    ),
)
async def select_similar_items(
    item_id: ItemIdInPath, request: SimilarItemsRequest, runtime: RuntimeDep, turn: TurnDep
) -> Response:
    """Returns the `k` most similar items that filters and rules allow.

    Scores are cosine similarities.
    """
    runtime.check_k(request.k)
    variant = runtime.variants.control
    _find_item(variant, item_id)
    query = selection_query(variant, request, [item_id])
    turn.charge(selection_units(variant, query))  # the route's cost is that of a plain one
    return await _similar_items(variant, query, turn)


async def _similar_items(variant: ServedVariant, query: RankerQuery, turn: Turn) -> Response:
    selection = await turn.run(variant.recommender.similar_by_rules, query)
    items = ranking_content(variant.recommender.with_items(selection.ranking))
    content = {"model_version": variant.model_version, "items": items}
    return json_response(content | shortage_content(selection))


def _find_item(variant: ServedVariant, item_id: str) -> Item:
    item = variant.recommender.catalog.find(item_id)
    if item is None:
        raise NotFoundError(f"no item {item_id!r}")
    return item
