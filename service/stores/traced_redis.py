"""Makes OpenTelemetry spans for commands on the shared Redis connection."""

from typing import Any

from service.stores.redis_client import RedisCommands
from service.telemetry.tracing import TRACER_NAME


class TracedRedis:
    """Wraps a Redis client and makes a span for each command.

    OpenTelemetry's own instrumentation makes spans for redis-py's clients only.
    """

    def __init__(self, redis: RedisCommands) -> None:
        # Imported here, because OpenTelemetry is only installed with the extra `trace`.
        from opentelemetry import trace

        self._redis = redis
        self._tracer = trace.get_tracer(TRACER_NAME)
        self._attributes = {"db.system.name": "redis"}

    async def execute_command(self, *parts: str | int) -> Any:
        """Implements `RedisCommands.execute_command`, within a span.

        The span has the command's name, but none of its arguments.
        """
        from opentelemetry.trace import SpanKind

        with self._tracer.start_as_current_span(
            str(parts[0]), kind=SpanKind.CLIENT, attributes=self._attributes
        ):
            return await self._redis.execute_command(*parts)

    async def aclose(self) -> None:
        """Implements `RedisCommands.aclose`."""
        await self._redis.aclose()
