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
    """Options of the collector: its source, and when it writes, compacts and removes records."""

    redis_url: Annotated[
        str | None,
        _option("REDIS_URL", "Address of the service's Redis, in the form of its REDIS_URL."),
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
        _option(
            "COLLECT_FLUSH_SECONDS",
            "Time in seconds after which a waiting record is written.",
            least=0,
        ),
    ] = 60.0
    flush_records: Annotated[
        int,
        _option(
            "COLLECT_FLUSH_RECORDS",
            "Number of waiting records at which they are written.",
            least=1,
        ),
    ] = 50_000
    claim_seconds: Annotated[
        float,
        _option(
            "COLLECT_CLAIM_SECONDS",
            "Time in seconds after which entries of another, probably dead collector are taken "
            "over.",
            least=0,
        ),
    ] = 120.0
    compact_minutes: Annotated[
        float,
        _option(
            "COLLECT_COMPACT_MINUTES",
            "Time in minutes between two compactions, which also remove erased records; 0 = none.",
            least=0,
        ),
    ] = 60.0
    keep_days: Annotated[
        float | None,
        _option(
            "COLLECT_KEEP_DAYS",
            "Age in days at which records are removed; by default they are kept.",
            least=0,
        ),
    ] = None

    @property
    def redis_address(self) -> str | None:
        """Address of Redis: from the secret file `redis_url` in SECRETS_PATH, else `redis_url`.

        None if neither is set.
        """
        folder = os.environ.get("SECRETS_PATH")
        secret = Path(folder) / "redis_url" if folder else None
        if secret is not None and secret.exists():
            return secret.read_text(encoding="utf-8").strip()
        return self.redis_url or None

    def check(self) -> None:
        """Checks that the settings name exactly one source, and that its folder exists.

        Raises:
            ConfigError: the settings name no source or two, or a folder that does not exist.
        """
        if (self.redis_address is None) == (self.segments is None):
            raise ConfigError(
                "name one source: --redis-url for a service with Redis, or --segments with the "
                "folder of its event log for a service without"
            )
        if self.segments is not None and not self.segments.is_dir():
            raise ConfigError(
                f"--segments {self.segments}: there is no such folder; name the service's "
                "EVENT_LOG_PATH, by default `event-log` where the service was started, and start "
                "the service with EVENT_LOG=on first"
            )


DEFAULTS = CollectSettings()
