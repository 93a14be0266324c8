"""Settings of the collector: options of its command, each with an environment variable."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from training.errors import ConfigError


def _option(env_var: str, text: str, *, least: float | None = None) -> Parameter:
    validator = None if least is None else Number(gte=least)
    return Parameter(help=text, env_var=env_var, validator=validator, show_default=True)


@Parameter(name="*")
@dataclass(frozen=True)
class CollectSettings:
    """Where the collector takes entries from, and when it writes and compacts."""

    redis_url: Annotated[
        str | None, _option("REDIS_URL", "Redis of the service, in the form of its REDIS_URL.")
    ] = None
    redis_cluster: Annotated[
        bool, _option("REDIS_CLUSTER", "Whether --redis-url names a node of a Redis Cluster.")
    ] = False
    segments: Annotated[
        Path | None,
        _option("EVENT_LOG_PATH", "Folder of the segments of a service without Redis."),
    ] = None
    flush_seconds: Annotated[
        float,
        _option("COLLECT_FLUSH_SECONDS", "Longest time that a record waits for a file.", least=0),
    ] = 60.0
    flush_records: Annotated[
        int, _option("COLLECT_FLUSH_RECORDS", "Most records that wait for a file.", least=1)
    ] = 50_000
    claim_seconds: Annotated[
        float,
        _option(
            "COLLECT_CLAIM_SECONDS",
            "Time after which entries of another collector, probably dead, are taken over.",
            least=0,
        ),
    ] = 120.0
    compact_minutes: Annotated[
        float,
        _option(
            "COLLECT_COMPACT_MINUTES",
            "Time between two compactions, which also remove erased records; 0 = none.",
            least=0,
        ),
    ] = 60.0
    keep_days: Annotated[
        float | None,
        _option("COLLECT_KEEP_DAYS", "Age in days at which records are removed.", least=0),
    ] = None

    @property
    def redis_address(self) -> str | None:
        """The address of Redis: the secret file `redis_url` in SECRETS_PATH, or `redis_url`."""
        folder = os.environ.get("SECRETS_PATH")
        secret = Path(folder) / "redis_url" if folder else None
        if secret is not None and secret.exists():
            return secret.read_text(encoding="utf-8").strip()
        return self.redis_url or None

    def check(self) -> None:
        """Raises ConfigError unless the settings name exactly one source."""
        if (self.redis_address is None) == (self.segments is None):
            raise ConfigError(
                "name one source: --redis-url for a service with Redis, or --segments with the "
                "folder of its event log for a service without"
            )


DEFAULTS = CollectSettings()
