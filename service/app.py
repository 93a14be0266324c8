"""The composition root: settings in, application out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from service.limits import BodyLimit
from service.problems import install_problems, problem_schemas
from service.routes import health, items, model, recommendations, sessions
from service.runtime import start
from service.settings import Settings
from service.timing import Timed


class Application(FastAPI):
    """FastAPI that documents problems too."""

    def openapi(self) -> dict[str, Any]:
        """The schema of all routes, with the one schema of all errors."""
        schema = super().openapi()
        schema["components"]["schemas"].update(problem_schemas())
        return schema


def create_app(settings: Settings | None = None) -> FastAPI:
    """Makes the service, by default from the environment; its parts are opened when it starts."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.runtime = start(settings)
        yield
        await app.state.runtime.history.close()

    app = Application(title="Distilled recommender", version="1", lifespan=lifespan)
    app.add_middleware(BodyLimit)
    app.add_middleware(Timed)  # the last one added is the first to see a request
    install_problems(app)
    for routes in (recommendations, sessions, items, model, health):
        app.include_router(routes.router)
    return app
