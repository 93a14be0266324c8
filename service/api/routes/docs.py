"""`/docs`: Swagger UI with files from this service; FastAPI's own page loads them from a CDN."""

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import as_file, files

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.staticfiles import StaticFiles

from service.access.security_headers import FOR_PAGES, content_security_policy

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)

router = APIRouter(prefix="/docs", include_in_schema=False)


@router.get("")
async def read_docs(request: Request) -> Response:
    """Returns the page of Swagger UI: the OpenAPI schema, with forms that send requests."""
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        title=request.app.title,
        openapi_url=f"{root}{request.app.openapi_url}",
        swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
        swagger_css_url=f"{root}/docs/swagger-ui.css",
        swagger_favicon_url=f"{root}/static/icon.svg",
    )
    page.headers.update(FOR_PAGES)
    page.headers["Content-Security-Policy"] = _policy(bytes(page.body))
    return page


def _policy(page: bytes) -> str:
    """Returns the Content-Security-Policy of the page of Swagger UI.

    It allows the script within `page` by its hash, inline styles, and images in `data:` URLs.
    """
    (script,) = _INLINE_SCRIPT.findall(page)
    digest = b64encode(sha256(script).digest()).decode()
    return content_security_policy(
        f"script-src 'self' 'sha256-{digest}'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
    )


@router.get("/{name}")
async def read_asset(name: str, request: Request) -> Response:
    """Returns a file of Swagger UI. Raises HTTPException 404 if there is no file `name`."""
    with as_file(files("fastapi_offline") / "static") as folder:
        response = await StaticFiles(directory=folder).get_response(name, request.scope)
    response.headers.update(FOR_PAGES)
    return response
