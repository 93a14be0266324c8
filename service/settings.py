"""The settings of the service: one frozen class, read from the environment and secret files."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Self

import httpx
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from service.variant_setting import DEFAULT_VARIANT, Variant, parse_variants

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

DEFAULT_K = 20
"""How many items an answer holds where the question does not say."""

_HTTP_SCHEMES = ("http://", "https://")
_NETWORK_SCHEMES = ("redis://", "rediss://")
_REDIS_SCHEMES = (*_NETWORK_SCHEMES, "unix://")


class Settings(BaseSettings):
    """Each field is the environment variable of the same name in capitals; empty means unset.

    Where SECRETS_PATH names a folder, its files are settings too: `admin_key`, `redis_url`.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_ignore_empty=True, allow_inf_nan=False
    )

    bundle_path: Path = Field(
        default=Path("bundle"),
        description="BUNDLE_PATH: the folder that `export` wrote, or the link `active` of a folder "
        "that it published into; what comes to stand there is served",
    )
    variants: str | None = Field(
        default=None,
        description="VARIANTS: bundles served side by side, `name=path:weight, …`, or a folder of "
        "bundles of equal weight; the first is the control; unset = BUNDLE_PATH, as `default`",
    )
    bundles_poll_seconds: float = Field(
        default=1.0,
        gt=0,
        description="BUNDLES_POLL_SECONDS: how soon a worker learns that another bundle is there",
    )
    admin_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="ADMIN_KEY: the bearer token of the routes that change the model or the items; "
        "unset = those of the model are closed, those of the items open",
    )
    items_path: Path = Field(
        default=Path("added-items.jsonl"),
        description="ITEMS_PATH: where added items are kept when REDIS_URL is unset",
    )
    max_added_items: int = Field(
        default=10_000, ge=0, description="MAX_ADDED_ITEMS: items that may be added at run time"
    )
    items_poll_seconds: float = Field(
        default=0.25,
        gt=0,
        description="ITEMS_POLL_SECONDS: how soon a worker learns of items added to another",
    )
    max_k: int = Field(
        default=100, ge=DEFAULT_K, description="MAX_K: most items one answer may hold"
    )

    redis_url: SecretStr | None = Field(
        default=None,
        description="REDIS_URL: where histories live (redis://, rediss:// or unix://); "
        "unset = in this process",
    )
    redis_cluster: bool = Field(
        default=False,
        description="REDIS_CLUSTER: REDIS_URL names one node of a Redis Cluster; "
        "the others are found by it",
    )
    redis_timeout_seconds: float = Field(
        default=0.1, gt=0, description="REDIS_TIMEOUT_SECONDS: for a connect and for an answer"
    )
    redis_max_connections: int = Field(
        default=32,
        ge=1,
        description="REDIS_MAX_CONNECTIONS: of one worker to a cluster; to one Redis it has one",
    )
    redis_pause_seconds: float = Field(
        default=1.0,
        gt=0,
        description="REDIS_PAUSE_SECONDS: how long a Redis that keeps failing is left alone",
    )
    session_ttl_seconds: float = Field(
        default=7 * 24 * 3600,
        ge=1,
        description="SESSION_TTL_SECONDS: a session is forgotten this long after its last event",
    )
    max_session_length: int = Field(
        default=200, ge=1, description="MAX_SESSION_LENGTH: newest events kept of a session"
    )
    max_sessions: int = Field(
        default=100_000,
        ge=1,
        description="MAX_SESSIONS: kept in this process when REDIS_URL is unset; "
        "the longest silent go first",
    )

    teacher_url: str | None = Field(
        default=None,
        description="TEACHER_URL: where `python -m training.serve_teacher` listens "
        "(http:// or https://); unset = no slow path",
    )
    teacher_deadline_seconds: float = Field(
        default=10.0,
        gt=0,
        description="TEACHER_DEADLINE_SECONDS: after it the student answers instead",
    )
    teacher_concurrency: int = Field(
        default=4,
        ge=1,
        description="TEACHER_CONCURRENCY: requests of one worker that the teacher gets at once; "
        "the student answers the others",
    )
    teacher_pause_seconds: float = Field(
        default=5.0,
        gt=0,
        description="TEACHER_PAUSE_SECONDS: how long a teacher that keeps failing is left alone",
    )
    teacher_cache_size: int = Field(
        default=4_096, ge=1, description="TEACHER_CACHE_SIZE: answers kept by one worker"
    )
    teacher_cache_ttl_seconds: float = Field(
        default=3_600.0, gt=0, description="TEACHER_CACHE_TTL_SECONDS: how long each is kept"
    )
    shadow_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="SHADOW_SHARE: share of the student's answers that the teacher is asked too, "
        "in the background; needs TEACHER_URL",
    )

    host: str = Field(default="127.0.0.1", description="HOST: address to listen on")
    port: int = Field(default=8000, ge=0, le=65_535, description="PORT: port to listen on")
    drain_seconds: float = Field(
        default=0,
        ge=0,
        le=600,
        description="DRAIN_SECONDS: how long a worker that is told to stop (SIGTERM) still "
        "answers, not ready any more, so that load balancers notice",
    )
    log_format: LogFormat = Field(
        default="text", description="LOG_FORMAT: `text`, or `json` with an object a line"
    )
    log_level: LogLevel = Field(
        default="info", description="LOG_LEVEL: `debug`, `info`, `warning` or `error`"
    )
    log_requests: bool = Field(
        default=False, description="LOG_REQUESTS: a line for each request, at `info`"
    )
    tracing: bool = Field(
        default=False,
        description="TRACING: OpenTelemetry spans, sent where OTEL_EXPORTER_OTLP_ENDPOINT says; "
        "needs the extra `trace`",
    )
    workers: int = Field(default=1, ge=1, description="WORKERS: processes; more need REDIS_URL")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - passed by its name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - passed by its name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given, then secret files, then the environment."""
        folder = os.environ.get("SECRETS_PATH")
        secrets = [SecretsSettingsSource(settings_cls, folder)] if folder else []
        return init_settings, *secrets, env_settings

    @property
    def served_variants(self) -> Sequence[Variant]:
        """What is served side by side, the control first."""
        if self.variants is None:
            return [Variant(DEFAULT_VARIANT, self.bundle_path)]
        return parse_variants(self.variants)

    @field_validator("variants")
    @classmethod
    def _parsable(cls, variants: str | None) -> str | None:
        if variants is not None:
            parse_variants(variants)
        return variants

    @field_validator("tracing")
    @classmethod
    def _can_trace(cls, tracing: bool) -> bool:
        # Its interface alone comes with other packages.
        if tracing and not (find_spec("opentelemetry") and find_spec("opentelemetry.sdk")):
            raise ValueError("needs OpenTelemetry: pip install 'distilled-recommender[trace]'")
        return tracing

    @field_validator("teacher_url")
    @classmethod
    def _speaks_http(cls, url: str | None) -> str | None:
        if url and not url.startswith(_HTTP_SCHEMES):
            raise ValueError(f"must start with one of {', '.join(_HTTP_SCHEMES)}")
        try:
            httpx.URL(url or "")
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from None
        return url

    @model_validator(mode="after")
    def _a_shadow_needs_a_teacher(self) -> Self:
        if self.shadow_share and not self.teacher_url:
            raise ValueError(f"SHADOW_SHARE = {self.shadow_share} needs TEACHER_URL")
        return self

    @model_validator(mode="after")
    def _workers_share_their_sessions(self) -> Self:
        if self.workers > 1 and self.redis_url is None:
            raise ValueError(
                f"WORKERS = {self.workers} needs REDIS_URL: without it each worker would keep "
                "sessions of its own"
            )
        return self

    @model_validator(mode="after")
    def _a_cluster_has_an_address(self) -> Self:
        url = self.redis_url.get_secret_value() if self.redis_url else ""
        if self.redis_cluster and not url.startswith(_NETWORK_SCHEMES):
            raise ValueError("REDIS_CLUSTER needs a REDIS_URL of redis:// or rediss://")
        return self

    @field_validator("redis_url")
    @classmethod
    def _known_scheme(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not url.get_secret_value().startswith(_REDIS_SCHEMES):
            raise ValueError(f"must start with one of {', '.join(_REDIS_SCHEMES)}")
        return url


def described() -> str:
    """A line a setting: its name, what it means, its default."""
    fields = Settings.model_fields.values()
    return "".join(f"{each.description} [{each.default}]\n" for each in fields)


if __name__ == "__main__":
    sys.stdout.write(described())
