"""The two ways to ask: now, or with `await`."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypedDict, TypeVar, cast
from urllib.parse import quote

import httpx
from httpx import codes

from recommender_client.answers import Problem
from recommender_client.questions import Question

T = TypeVar("T")

DEFAULT_TIMEOUT_SECONDS = 30.0
"""More than the service waits for its teacher (TEACHER_DEADLINE_SECONDS, 10 by default)."""


class RefusedError(Exception):
    """The service answered with a problem; transport failures stay httpx's own errors."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem['status']} {problem['title']}: {problem['detail']}")
        self.problem = problem

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem["status"]


class Client:
    """Asks and waits; closed with its `with` block."""

    def __init__(
        self, service: str | httpx.Client, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> None:
        """Takes an address, or an httpx client that has one as its base URL and its timeout."""
        self._http = (
            httpx.Client(base_url=service, timeout=timeout_seconds)
            if isinstance(service, str)
            else service
        )

    def ask(self, question: Question[T]) -> T:
        """The answer.

        Raises:
            RefusedError: the service answered with a problem.
            httpx.HTTPError: it did not answer.
        """
        return cast("T", _content(self._http.request(**_request(question))))

    def __enter__(self) -> Self:
        """Nothing is opened before the first question."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes connections."""
        self._http.close()


class AsyncClient:
    """Asks under asyncio or trio; closed with its `async with` block."""

    def __init__(
        self, service: str | httpx.AsyncClient, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> None:
        """Takes an address, or an httpx client that has one as its base URL and its timeout."""
        self._http = (
            httpx.AsyncClient(base_url=service, timeout=timeout_seconds)
            if isinstance(service, str)
            else service
        )

    async def ask(self, question: Question[T]) -> T:
        """The answer; raises as `Client.ask` does."""
        return cast("T", _content(await self._http.request(**_request(question))))

    async def __aenter__(self) -> Self:
        """Nothing is opened before the first question."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes connections."""
        await self._http.aclose()


class _Sent(TypedDict):
    """What both httpx clients take."""

    method: str
    url: str
    params: Mapping[str, str | int]
    json: Mapping[str, object] | None
    headers: Mapping[str, str]


def _request(question: Question[T]) -> _Sent:
    ids = {name: _segment(each) for name, each in question.ids.items()}
    return {
        "method": question.method,
        "url": question.path.format(**ids),
        "params": question.parameters,
        "json": question.body,
        "headers": {"Authorization": f"Bearer {key}"} if (key := question.admin_key) else {},
    }


def _segment(each: str) -> str:
    """An id in a path; as a bare `.` or `..`, httpx would take it for a step to another route."""
    return each.replace(".", "%2E") if each in {".", ".."} else quote(each, safe="")


def _content(response: httpx.Response) -> object:
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        raise RefusedError(response.json())
    response.raise_for_status()
    if response.status_code == codes.NO_CONTENT:
        return None
    is_text = response.headers["content-type"].startswith("text/plain")
    return response.text if is_text else response.json()
