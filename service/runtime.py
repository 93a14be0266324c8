"""What the routes work with, made once at start-up."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from export.bundle import load_bundle
from service.errors import InvalidRequestError
from service.history.embedded import EmbeddedHistoryStore
from service.history.guard import GuardedHistory
from service.history.redis_store import RedisHistoryStore
from service.history.store import HistoryStore, Retention
from service.recommender import Recommender
from service.settings import Settings


@dataclass
class Runtime:
    """The parts of a running service."""

    settings: Settings
    recommender: Recommender
    history: GuardedHistory

    @property
    def model_version(self) -> str:
        """Of the bundle that is served."""
        return self.recommender.manifest.model_version

    def check_k(self, k: int) -> None:
        """Raises InvalidRequestError if `k` is more than the settings allow."""
        if k > self.settings.max_k:
            raise InvalidRequestError("k", f"must be at most {self.settings.max_k}, not {k}")


def start(settings: Settings) -> Runtime:
    """Loads the bundle, warms it up and opens the history store.

    Raises:
        BundleError: the bundle cannot be served.
    """
    recommender = Recommender(load_bundle(settings.bundle_path))
    recommender.warm_up(settings.max_k)
    history = GuardedHistory(_history_store(settings), settings.redis_pause_seconds)
    return Runtime(settings, recommender, history)


def _history_store(settings: Settings) -> HistoryStore:
    retention = Retention(settings.max_session_length, settings.session_ttl_seconds)
    if settings.redis_url is None:
        return EmbeddedHistoryStore(retention, settings.max_sessions)
    return RedisHistoryStore(
        settings.redis_url.get_secret_value(),
        retention,
        timeout_seconds=settings.redis_timeout_seconds,
        max_connections=settings.redis_max_connections,
    )


# Dependencies are coroutines: FastAPI hands plain functions to a thread.
async def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(_runtime)]
