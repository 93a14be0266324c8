"""The settings of a server with OpenAI's API, `[teacher.endpoint]` of an experiment."""

from collections.abc import Set
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from training.settings.section import Section


def _without_credentials(url: str) -> str:
    if "@" in urlsplit(url).netloc:
        raise ValueError(
            "an address must not contain a user or password, as provenance publishes it; put the "
            "key into OPENAI_API_KEY"
        )
    return url


Address = Annotated[str, Field(pattern=r"^https?://"), AfterValidator(_without_credentials)]


class EndpointConfig(Section):
    """Settings of the OpenAI-compatible server that runs the LLM if `model` is `openai:NAME`.

    The API key is read from the environment variable OPENAI_API_KEY.
    """

    ADDED_LATER: ClassVar[Set[str]] = {"titles_per_request", "budget_tokens", "outage_seconds"}

    base_url: Address = Field(
        default="http://127.0.0.1:8080/v1", description="address of the API, without a key"
    )
    api: Literal["completions", "chat"] = Field(
        default="completions", description="API that titles are requested from"
    )
    embedding_model: str | None = Field(
        default=None, description="model for embeddings; by default the same model"
    )
    embedding_url: Address | None = Field(
        default=None, description="address for embeddings; by default base_url"
    )
    concurrency: int = Field(default=8, ge=1, description="maximum number of requests at a time")
    timeout_seconds: float = Field(
        default=60.0, gt=0, description="time limit of a request, in seconds"
    )
    retries: int = Field(
        default=4,
        ge=0,
        description="maximum number of retries after a failure that may be temporary",
    )
    outage_seconds: float = Field(
        default=600.0,
        ge=0,
        description="how long a server that has answered before is waited for, beyond `retries`, "
        "in seconds",
    )
    titles_per_request: int = Field(
        default=64,
        ge=1,
        le=2_048,
        description="maximum number of titles in a request of a title encoder",
    )
    budget_tokens: int | None = Field(
        default=None,
        ge=1,
        description="maximum number of tokens that the server may read as a title encoder, for "
        "kinds that read titles; by default no limit",
    )
