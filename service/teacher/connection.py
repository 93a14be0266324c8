"""Opens and closes the connection to a teacher, with the cache and the shadow traffic."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.background import in_background
from service.settings import Settings
from service.teacher.cache import RecentAnswers
from service.teacher.client import TeacherClient
from service.teacher.shadow import Shadow
from service.teacher.slow_path import SlowPath
from service.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Teacher:
    """The two parts of the service that ask a configured teacher.

    Attributes:
        slow_path: asks the teacher, for the routes that return its recommendations or embeddings.
        shadow: compares the student's answers with the teacher's; routes pass answers to it.
    """

    slow_path: SlowPath
    shadow: Shadow


@asynccontextmanager
async def connected_teacher(settings: Settings, metrics: Metrics) -> AsyncIterator[Teacher | None]:
    """Context manager that yields the configured teacher; None if TEACHER_URL is unset.

    The teacher need not be running yet. While the context is open, a background task compares
    shadow traffic. At the end, the connections are closed.
    """
    if settings.teacher_url is None:
        yield None
        return
    client = TeacherClient(
        settings.teacher_url,
        deadline_seconds=settings.teacher_deadline_seconds,
        concurrency=settings.teacher_concurrency,
    )
    slow_path = SlowPath(
        client,
        RecentAnswers(settings.teacher_cache_size, settings.teacher_cache_ttl_seconds),
        settings.teacher_pause_seconds,
    )
    shadow = Shadow(
        slow_path, settings.shadow_share, metrics.observe_shadow, metrics.count_shadow_failure
    )
    try:
        async with in_background(shadow.run()):
            yield Teacher(slow_path, shadow)
    finally:
        await slow_path.close()
