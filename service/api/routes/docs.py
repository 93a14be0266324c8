"""`/docs`: Swagger UI with files from this service; FastAPI's own page loads them from a CDN."""

from importlib.resources import as_file, files

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.staticfiles import StaticFiles

router = APIRouter(prefix="/docs", include_in_schema=False)


@router.get("")
async def read_docs(request: Request) -> Response:
    """Returns the page of Swagger UI: the OpenAPI schema, with forms that send requests."""
    root = request.scope.get("root_path", "")
    return get_swagger_ui_html(
        title=request.app.title,
        openapi_url=f"{root}{request.app.openapi_url}",
        swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
        swagger_css_url=f"{root}/docs/swagger-ui.css",
        swagger_favicon_url=f"{root}/static/icon.svg",
    )


@router.get("/{name}")
async def read_asset(name: str, request: Request) -> Response:
    """Returns a file of Swagger UI; raises HTTPException 404 if there is no file `name`."""
    with as_file(files("fastapi_offline") / "static") as folder:
        return await StaticFiles(directory=folder).get_response(name, request.scope)
