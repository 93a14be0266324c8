"""The settings of the optional teacher."""

from typing import Self

import httpx
from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

_HTTP_SCHEMES = ("http://", "https://")


class TeacherSettings(BaseSettings):
    """Settings of the teacher; a base class of `service.settings.Settings`."""

    teacher_url: str | None = Field(
        default=None,
        description="TEACHER_URL: address of `python -m training.serve_teacher` (http:// or "
        "https://); unset = no teacher",
    )
    teacher_deadline_seconds: float = Field(
        default=10.0,
        gt=0,
        description="TEACHER_DEADLINE_SECONDS: maximum time to wait for the teacher; after it the "
        "student answers",
    )
    teacher_concurrency: int = Field(
        default=4,
        ge=1,
        description="TEACHER_CONCURRENCY: maximum number of simultaneous requests per worker to "
        "the teacher; the student answers the others",
    )
    teacher_requests: int = Field(
        default=16,
        ge=1,
        description="TEACHER_REQUESTS: maximum number of requests to the teacher's routes at once",
    )
    teacher_pause_seconds: float = Field(
        default=5.0,
        gt=0,
        description="TEACHER_PAUSE_SECONDS: pause before a teacher that keeps failing is tried "
        "again",
    )
    teacher_cache_size: int = Field(
        default=4_096,
        ge=1,
        description="TEACHER_CACHE_SIZE: maximum number of the teacher's answers in the cache of "
        "each worker",
    )
    teacher_cache_ttl_seconds: float = Field(
        default=3_600.0,
        gt=0,
        description="TEACHER_CACHE_TTL_SECONDS: maximum age of a cached answer",
    )
    shadow_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="SHADOW_SHARE: share of the student's answers that are compared with the "
        "teacher's in the background, from 0 to 1; not compared: queries with rules, and "
        "those whose filters and hidden items leave out over 20,000 items; needs TEACHER_URL",
    )

    @field_validator("teacher_url")
    @classmethod
    def _check_teacher_url(cls, url: str | None) -> str | None:
        if url and not url.startswith(_HTTP_SCHEMES):
            raise ValueError(f"must start with one of {', '.join(_HTTP_SCHEMES)}")
        try:
            httpx.URL(url or "")
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from None
        return url

    @model_validator(mode="after")
    def _check_shadow(self) -> Self:
        if self.shadow_share and not self.teacher_url:
            raise ValueError(f"SHADOW_SHARE = {self.shadow_share} needs TEACHER_URL")
        return self
