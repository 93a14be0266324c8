"""Admin authentication: routes that change the model or the items require the ADMIN_KEY."""

import secrets
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.errors import ForbiddenError, UnauthorizedError
from service.runtime import RuntimeDep

_BEARER = HTTPBearer(auto_error=False, description="the ADMIN_KEY of the service")

CredentialsDep = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


async def check_admin(runtime: RuntimeDep, credentials: CredentialsDep) -> None:
    """Checks the admin key of a request; if the service has no ADMIN_KEY, the route is closed.

    Raises:
        UnauthorizedError: the request sends no key.
        ForbiddenError: the key is wrong, or the service has no ADMIN_KEY.
    """
    admin_key = runtime.settings.admin_key
    if admin_key is None:
        raise ForbiddenError(
            "this route is closed: the service has no ADMIN_KEY; start it with one"
        )
    if credentials is None:
        raise UnauthorizedError("send the admin key: `Authorization: Bearer …`")
    sent, expected = credentials.credentials, admin_key.get_secret_value()
    if not secrets.compare_digest(sent.encode(), expected.encode()):
        raise ForbiddenError("the key in `Authorization` is not the admin key")


async def check_admin_if_any(runtime: RuntimeDep, credentials: CredentialsDep) -> None:
    """Checks the admin key as `check_admin` does; if the service has none, the route is open."""
    if runtime.settings.admin_key is not None:
        await check_admin(runtime, credentials)
