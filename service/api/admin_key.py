"""Who may change what is served: whoever sends the ADMIN_KEY."""

import secrets
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.errors import ForbiddenError, UnauthorizedError
from service.runtime import RuntimeDep

_BEARER = HTTPBearer(auto_error=False, description="the ADMIN_KEY of the service")

CredentialsDep = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


async def check_admin(runtime: RuntimeDep, credentials: CredentialsDep) -> None:
    """Raises UnauthorizedError without a key, ForbiddenError for another than the admin's."""
    admin_key = runtime.settings.admin_key
    if admin_key is None:
        raise ForbiddenError("this route is closed: the service has no ADMIN_KEY")
    if credentials is None:
        raise UnauthorizedError("send the admin key: `Authorization: Bearer …`")
    given, due = credentials.credentials, admin_key.get_secret_value()
    if not secrets.compare_digest(given.encode(), due.encode()):
        raise ForbiddenError("this is not the admin key")


async def check_admin_if_any(runtime: RuntimeDep, credentials: CredentialsDep) -> None:
    """The same where there is an ADMIN_KEY; without one the route is open."""
    if runtime.settings.admin_key is not None:
        await check_admin(runtime, credentials)
