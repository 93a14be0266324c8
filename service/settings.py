"""The settings of the service: one frozen class, read from the environment and secret files."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from service.access.settings import AccessSettings
from service.setting_parts.bundles import BundleSettings
from service.setting_parts.events import EventSettings
from service.setting_parts.outage import OutageSettings
from service.setting_parts.sentinel_url import SENTINEL_SCHEMES, parse_sentinel_url
from service.setting_parts.teacher import TeacherSettings

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

DEFAULT_K = 20
"""Number of items in an answer if the request has no `k`."""

MAX_ITEM_ID_LENGTH = 256
MAX_SESSION_ID_LENGTH = 128
"""Maximum number of characters in a session id."""

MAX_USER_ID_LENGTH = 128
"""Maximum number of characters in a user id."""

_MIN_SECRET_LENGTH = 32
_NETWORK_SCHEMES = ("redis://", "rediss://")
_REDIS_SCHEMES = (*_NETWORK_SCHEMES, "unix://", *SENTINEL_SCHEMES)


class Settings(BundleSettings, AccessSettings, EventSettings, OutageSettings, TeacherSettings):
    """The settings of the service, each from the environment variable with its name in capitals.

    An empty variable counts as unset. If SECRETS_PATH names a folder, its files (such as
    `admin_key`) are settings too and take precedence over the environment.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_ignore_empty=True, allow_inf_nan=False
    )

    items_path: Path = Field(
        default=Path("added-items.jsonl"),
        description="ITEMS_PATH: the file of added items if REDIS_URL is unset; edits are "
        "in a file beside it",
    )
    max_added_items: int = Field(
        default=10_000,
        ge=0,
        description="MAX_ADDED_ITEMS: maximum number of items that can be added at run time",
    )
    max_edited_items: int = Field(
        default=100_000,
        ge=0,
        description="MAX_EDITED_ITEMS: maximum number of items that can be hidden or edited",
    )
    items_poll_seconds: float = Field(
        default=0.25,
        gt=0,
        description="ITEMS_POLL_SECONDS: interval at which a worker looks for added and edited "
        "items",
    )
    max_k: int = Field(
        default=100, ge=DEFAULT_K, description="MAX_K: maximum number of items in one answer"
    )

    redis_url: SecretStr | None = Field(
        default=None,
        description="REDIS_URL: the Redis that stores sessions and added items (redis://, "
        "rediss://, unix://, or redis+sentinel://HOST:PORT,HOST:PORT/NAME/DATABASE); "
        "unset = memory of this process, and ITEMS_PATH",
    )
    redis_cluster: bool = Field(
        default=False,
        description="REDIS_CLUSTER: whether REDIS_URL names a node of a Redis Cluster, "
        "from which the service discovers the other nodes",
    )
    redis_timeout_seconds: float = Field(
        default=0.04,
        gt=0,
        description="REDIS_TIMEOUT_SECONDS: maximum time that a request waits for one command, "
        "connecting included",
    )
    redis_pause_seconds: float = Field(
        default=1.0,
        gt=0,
        description="REDIS_PAUSE_SECONDS: pause before a Redis that keeps failing is tried again",
    )
    session_secret: SecretStr | None = Field(
        default=None,
        min_length=_MIN_SECRET_LENGTH,
        description="SESSION_SECRET: the key that makes the names of stored sessions from their "
        "ids, at least 32 characters, the same for all replicas; needed with REDIS_URL; unset = "
        "random at each start",
    )
    session_secret_old: SecretStr | None = Field(
        default=None,
        min_length=_MIN_SECRET_LENGTH,
        description="SESSION_SECRET_OLD: the SESSION_SECRET before the present one; sessions that "
        "it named are found, and moved with their next event",
    )
    old_session_keys: bool = Field(
        default=True,
        description="OLD_SESSION_KEYS: whether sessions that checkouts before 0.1.0 stored in "
        "Redis, by their ids, are found, and moved with their next event; one SESSION_TTL_SECONDS "
        "after the upgrade it can be false",
    )
    session_ttl_seconds: float = Field(
        default=7 * 24 * 3600,
        ge=1,
        description="SESSION_TTL_SECONDS: a session is erased this long after its last event",
    )
    max_session_length: int = Field(
        default=200,
        ge=1,
        description="MAX_SESSION_LENGTH: maximum number of events stored per session; "
        "the oldest are dropped first",
    )
    event_id_window_seconds: float = Field(
        default=24 * 3600,
        gt=0,
        description="EVENT_ID_WINDOW_SECONDS: an event that is sent again with the same `event_id` "
        "within this time is stored once",
    )
    max_sessions: int = Field(
        default=100_000,
        ge=1,
        description="MAX_SESSIONS: maximum number of sessions in memory if REDIS_URL is unset; "
        "the sessions with the oldest last event are dropped first",
    )

    light_requests: int = Field(
        default=64,
        ge=1,
        description="LIGHT_REQUESTS: maximum number of requests on the event loop of a worker",
    )
    heavy_turns: int = Field(
        default=1,
        ge=1,
        description="HEAVY_TURNS: maximum number of heavy requests, such as batches, at once",
    )
    heavy_queue_units: int = Field(
        default=1_000,
        ge=1,
        description="HEAVY_QUEUE_UNITS: maximum units of the heavy requests that wait",
    )

    port: int = Field(default=8000, ge=0, le=65_535, description="PORT: port to listen on")
    drain_seconds: float = Field(
        default=0,
        ge=0,
        le=600,
        description="DRAIN_SECONDS: time for which a worker still answers after SIGTERM; /readyz "
        "answers 503 meanwhile, so that load balancers send no new requests",
    )
    log_format: LogFormat = Field(
        default="text", description="LOG_FORMAT: `text`, or `json` with one object per line"
    )
    log_level: LogLevel = Field(
        default="info", description="LOG_LEVEL: `debug`, `info`, `warning` or `error`"
    )
    log_requests: bool = Field(
        default=False, description="LOG_REQUESTS: whether each request is logged, at `info`"
    )
    tracing: bool = Field(
        default=False,
        description="TRACING: whether OpenTelemetry spans are sent to OTEL_EXPORTER_OTLP_ENDPOINT; "
        "needs `pip install 'distilled-recommender[trace]'`",
    )
    workers: int = Field(
        default=1, ge=1, description="WORKERS: number of processes; more than one need REDIS_URL"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - passed by its name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - passed by its name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Returns the sources of settings, highest precedence first.

        These are the arguments of the constructor, the secret files and the environment.
        """
        folder = os.environ.get("SECRETS_PATH")
        secrets = [SecretsSettingsSource(settings_cls, folder)] if folder else []
        return init_settings, *secrets, env_settings

    @field_validator("tracing")
    @classmethod
    def _check_tracing(cls, tracing: bool) -> bool:
        # Both are looked for, because other packages install `opentelemetry` without its SDK.
        if tracing and not (find_spec("opentelemetry") and find_spec("opentelemetry.sdk")):
            raise ValueError("needs OpenTelemetry: pip install 'distilled-recommender[trace]'")
        return tracing

    @model_validator(mode="after")
    def _check_workers(self) -> Self:
        if self.workers > 1 and self.redis_url is None:
            raise ValueError(
                f"WORKERS = {self.workers} needs REDIS_URL: without it each worker would store "
                "its own sessions"
            )
        return self

    @model_validator(mode="after")
    def _check_session_secret(self) -> Self:
        needs_one = {
            "REDIS_URL": self.redis_url,
            "SESSION_SECRET_OLD": self.session_secret_old,
            "EVENT_LOG = on": self.event_log == "on",
        }
        needing = next((name for name, is_set in needs_one.items() if is_set), None)
        if self.session_secret is None and needing:
            raise ValueError(
                f"{needing} needs SESSION_SECRET, the same for all replicas: make one with "
                "`openssl rand -hex 32`"
            )
        return self

    @model_validator(mode="after")
    def _check_outage(self) -> Self:
        if self.store_outage == "journal" and self.redis_url is None:
            raise ValueError("STORE_OUTAGE = journal needs REDIS_URL: memory has no outage")
        return self

    @model_validator(mode="after")
    def _check_cluster(self) -> Self:
        url = self.redis_url.get_secret_value() if self.redis_url else ""
        if self.redis_cluster and not url.startswith(_NETWORK_SCHEMES):
            raise ValueError(
                "REDIS_CLUSTER needs a REDIS_URL that starts with redis:// or rediss://"
            )
        return self

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not url.get_secret_value().startswith(_REDIS_SCHEMES):
            raise ValueError(f"must start with one of {', '.join(_REDIS_SCHEMES)}")
        if url and url.get_secret_value().startswith(SENTINEL_SCHEMES):
            parse_sentinel_url(url.get_secret_value())
        return url


def described() -> str:
    """Returns one line per setting: name, meaning and, in brackets, the default.

    The settings of `Settings` itself come first, then those of its base classes.
    """
    own = [name for name in Settings.model_fields if name in Settings.__annotations__]
    fields = [Settings.model_fields[name] for name in dict.fromkeys([*own, *Settings.model_fields])]
    defaults = ["unset" if each.default is None else each.default for each in fields]
    return "".join(
        f"{each.description} [{default}]\n" for each, default in zip(fields, defaults, strict=True)
    )


if __name__ == "__main__":
    sys.stdout.write(described())
