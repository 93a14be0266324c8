"""The route that erases all sessions of a user."""

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, Response

from service.api.authorization import PrincipalDep
from service.api.problems import documented
from service.http.ids_in_paths import UserIdInPath
from service.runtime import Runtime, RuntimeDep
from service.stores.history.protocol import Session

router = APIRouter(prefix="/v1/users/{user_id}", tags=["sessions"])

_AT_ONCE = 16  # sessions


@router.delete(
    "",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
)
async def forget_user(
    user_id: UserIdInPath, runtime: RuntimeDep, principal: PrincipalDep
) -> Response:
    """Erases all sessions that have an event of the user; 204 even if there are none."""
    with runtime.history.waits_once():
        for user_ref in runtime.session_refs.of_user(user_id, principal.tenant):
            await _forget_user(runtime, user_ref, principal.tenant)
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _forget_user(runtime: Runtime, user_ref: str, tenant: str) -> None:
    refs = await runtime.history.sessions_of(user_ref)
    for start in range(0, len(refs), _AT_ONCE):
        together = refs[start : start + _AT_ONCE]
        await asyncio.gather(*(_forget(runtime, ref, tenant) for ref in together))
    # Last, so that the sessions are found again if one of them could not be erased.
    tombstone = runtime.intake.user_tombstone(user_ref, tenant)
    await runtime.history.forget_user(user_ref, tombstone)


async def _forget(runtime: Runtime, ref: str, tenant: str) -> None:
    session = Session(ref)
    await runtime.history.forget(session, runtime.intake.tombstones_of(session, tenant))
