"""Settings of the collector: options of its command, each with an environment variable."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from training.errors import ConfigError

_STREAM_NAME = re.compile(r"[^\s.*>/\\]{1,64}")  # NATS' rule; names are part of event ids


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
    nats_url: Annotated[
        str | None,
        _option(
            "NATS_URL",
            "Addresses of NATS servers, such as nats://HOST:4222, separated by commas; the source "
            "is a stream of JetStream.",
        ),
    ] = None
    nats_stream: Annotated[str, _option("NATS_STREAM", "Name of the stream in NATS.")] = "events"
    nats_subject: Annotated[
        str | None,
        _option("NATS_SUBJECT", "Subject of the messages to collect; by default the whole stream."),
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
        return _secret("redis_url") or self.redis_url or None

    @property
    def nats_address(self) -> str | None:
        """Address of NATS: from the secret file `nats_url` in SECRETS_PATH, else `nats_url`.

        None if neither is set.
        """
        return _secret("nats_url") or self.nats_url or None

    @property
    def session_secret(self) -> str | None:
        """The service's SESSION_SECRET: from a file in SECRETS_PATH, else from the environment.

        None if neither is set. There is no command-line option for it, since other users of a
        machine can read the options of a process.
        """
        return _secret("session_secret") or os.environ.get("SESSION_SECRET") or None

    def check(self) -> None:
        """Checks that the settings name exactly one source, and that its folder exists.

        Raises:
            ConfigError: the settings name no source or two, a folder that does not exist, or
                a stream whose name NATS refuses.
        """
        sources = (self.redis_address, self.segments, self.nats_address)
        if sum(each is not None for each in sources) != 1:
            raise ConfigError(
                "name one source: --redis-url for a service with Redis, --segments with the "
                "folder of its event log for a service without, or --nats-url for events of other "
                "programs"
            )
        if self.nats_address is not None and not _STREAM_NAME.fullmatch(self.nats_stream):
            raise ConfigError(
                f"--nats-stream {self.nats_stream!r}: expected the name of a stream, at most 64 "
                "characters without spaces, dots, slashes, * or >"
            )
        if self.segments is not None and not self.segments.is_dir():
            raise ConfigError(
                f"--segments {self.segments}: there is no such folder; name the service's "
                "EVENT_LOG_PATH, by default `event-log` where the service was started, and start "
                "the service with EVENT_LOG=on first"
            )


def _secret(name: str) -> str | None:
    """Returns the content of a secret file in the folder SECRETS_PATH; None if there is none."""
    folder = os.environ.get("SECRETS_PATH")
    path = Path(folder) / name if folder else None
    if path is None or not path.exists():
        return None
    return path.read_text(encoding="utf-8").strip()


DEFAULTS = CollectSettings()
