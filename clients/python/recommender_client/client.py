"""The two clients of the service: `Client` blocks, `AsyncClient` is awaited."""

import time
from collections.abc import Mapping
from contextlib import closing
from types import TracebackType
from typing import Self, TypedDict, TypeVar, cast
from urllib.parse import quote

import anyio
import httpx
from httpx import codes

from recommender_client.answers import Problem
from recommender_client.deadline import Deadline, StepTimeouts, read_until
from recommender_client.questions import ApiRequest
from recommender_client.repeats import DEFAULT_REPEATS, Repeats, with_event_ids

T = TypeVar("T")

DEFAULT_TIMEOUT_SECONDS = 30.0
"""Timeout of a call. It is longer than the service waits for its teacher.

The service waits TEACHER_DEADLINE_SECONDS, 10 by default.
"""


class RefusedError(Exception):
    """The service refused a request.

    If the service cannot be reached, exceptions of httpx are raised instead.

    Attributes:
        problem: body of the response (RFC 9457) with the reason. With status 422,
            `problem["errors"]` lists the invalid fields of the request.
    """

    def __init__(self, problem: Problem) -> None:
        """Makes the error from the body of the response."""
        super().__init__(f"{problem['status']} {problem['title']}: {problem['detail']}")
        self.problem = problem

    @property
    def status(self) -> int:
        """HTTP status of the response."""
        return self.problem["status"]


class Client:
    """A blocking client. Use it in a `with` block, which closes its connections.

    Examples:
        >>> from recommender_client import Client, RefusedError, questions
        >>> with Client("http://127.0.0.1:8000") as client:
        ...     try:
        ...         client.ask(questions.read_session("visit-1"))
        ...     except RefusedError as error:
        ...         print(error.status, error.problem["detail"])
    """

    def __init__(
        self,
        service: str | httpx.Client,
        *,
        key: str | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        repeats: int = DEFAULT_REPEATS,
    ) -> None:
        """Makes a client; it connects on its first request.

        Args:
            service: address of the service, such as `http://127.0.0.1:8000`, or an httpx client of
                your own with the address as its `base_url`. This client closes it at the end.
            key: API key, `ID.SECRET`, which is sent with each request; None sends none.
            timeout_seconds: time that a call takes at most, with its repeats and the waits before
                them; shorter timeouts of an httpx client of your own hold for each step of a try.
                A repeat that `Retry-After` puts off for longer than is left is not made.
            repeats: largest number of repeats of a request that is refused with 429 or 503, gets
                502 or 504, or whose connection fails. A timeout and a rollback are not repeated.
        """
        self._key = key
        self._repeats, self._timeout_seconds = repeats, timeout_seconds
        self._http = (
            httpx.Client(base_url=service, timeout=timeout_seconds)
            if isinstance(service, str)
            else service
        )

    def ask(self, question: ApiRequest[T]) -> T:
        """Sends a request and returns the answer.

        Args:
            question: a request made by a function of `recommender_client.questions`.

        Returns:
            A typed dictionary; None for requests that delete something; text for `read_metrics`.

        Raises:
            RefusedError: the service refused the request.
            httpx.TransportError: the service cannot be reached or does not answer in time. The end
                is looked at between the steps of a try, so an answer in drops can come later.
            httpx.HTTPStatusError: the response has an error status and no body in the format of RFC
                9457; such a response comes from a proxy before the service.
        """
        question = with_event_ids(question)
        deadline = Deadline(self._timeout_seconds)
        request = self._http.build_request(
            **_request(question, self._key),
            extensions={"timeout": StepTimeouts(deadline, self._http.timeout)},
        )
        repeats = Repeats(question, self._repeats, deadline)
        while True:
            outcome = self._try(request, deadline)
            wait = repeats.wait_after(outcome)
            if wait is None:
                return cast("T", _answer(outcome))
            time.sleep(wait)

    def _try(
        self, request: httpx.Request, deadline: Deadline
    ) -> httpx.Response | httpx.TransportError:
        try:
            with closing(self._http.send(request, stream=True)) as response:
                read_until(response, deadline)
                return response
        except httpx.TransportError as error:
            return error

    def __enter__(self) -> Self:
        """Returns this client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the connections."""
        self._http.close()


class AsyncClient:
    """A client for asyncio and trio. Use it in an `async with` block, which closes its connections.

    Examples:
        >>> async with AsyncClient("http://127.0.0.1:8000") as client:
        ...     answer = await client.ask(questions.recommend(history=["1", "260"], k=5))
    """

    def __init__(
        self,
        service: str | httpx.AsyncClient,
        *,
        key: str | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        repeats: int = DEFAULT_REPEATS,
    ) -> None:
        """Makes a client; it connects on its first request.

        Args:
            service: address of the service, such as `http://127.0.0.1:8000`, or an httpx client of
                your own with the address as its `base_url`. This client closes it at the end.
            key: API key, `ID.SECRET`, which is sent with each request; None sends none.
            timeout_seconds: time that a call takes at most, with its repeats and the waits before
                them; shorter timeouts of an httpx client of your own hold for each step of a try.
                A repeat that `Retry-After` puts off for longer than is left is not made.
            repeats: largest number of repeats of a request that is refused with 429 or 503, gets
                502 or 504, or whose connection fails. A timeout and a rollback are not repeated.
        """
        self._key = key
        self._repeats, self._timeout_seconds = repeats, timeout_seconds
        self._http = (
            httpx.AsyncClient(base_url=service, timeout=timeout_seconds)
            if isinstance(service, str)
            else service
        )

    async def ask(self, question: ApiRequest[T]) -> T:
        """Sends a request and returns the answer; arguments and exceptions as in `Client.ask`."""
        question = with_event_ids(question)
        deadline = Deadline(self._timeout_seconds)
        request = self._http.build_request(**_request(question, self._key))
        with anyio.move_on_after(self._timeout_seconds):
            return cast("T", await self._ask(request, Repeats(question, self._repeats, deadline)))
        raise deadline.error(request)

    async def _ask(self, request: httpx.Request, repeats: Repeats) -> object:
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self._http.send(request)
            except httpx.TransportError as error:
                outcome = error
            wait = repeats.wait_after(outcome)
            if wait is None:
                return _answer(outcome)
            await anyio.sleep(wait)

    async def __aenter__(self) -> Self:
        """Returns this client."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the connections."""
        await self._http.aclose()


class _RequestArguments(TypedDict):
    """Arguments of `build_request` that httpx.Client and httpx.AsyncClient share."""

    method: str
    url: str
    params: Mapping[str, str | int]
    json: Mapping[str, object] | None
    headers: Mapping[str, str]


def _request(question: ApiRequest[T], client_key: str | None) -> _RequestArguments:
    key = question.admin_key or client_key
    ids = {name: _path_segment(each) for name, each in question.ids.items()}
    return {
        "method": question.method,
        "url": question.path.format(**ids),
        "params": question.parameters,
        "json": question.body,
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
    }


def _path_segment(each: str) -> str:
    """Encodes an id for use in a path.

    The ids `.` and `..` are encoded, too, since httpx would resolve them to another path.
    """
    return each.replace(".", "%2E") if each in {".", ".."} else quote(each, safe="")


def _answer(outcome: httpx.Response | httpx.TransportError) -> object:
    """Returns the content of an answer; raises the error of a request without one."""
    if isinstance(outcome, httpx.TransportError):
        raise outcome
    return _content(outcome)


def _content(response: httpx.Response) -> object:
    media_type = response.headers.get("content-type", "")
    is_problem = media_type.startswith("application/problem+json")
    if is_problem and (problem := _problem_of(response)) is not None:
        raise RefusedError(problem)
    response.raise_for_status()
    if response.status_code == codes.NO_CONTENT:
        return None
    return response.text if media_type.startswith("text/plain") else response.json()


def _problem_of(response: httpx.Response) -> Problem | None:
    """Returns the problem that a refusal describes; None if its body is no JSON object.

    A proxy's problem may lack members, all of which are optional in RFC 9457.
    """
    try:
        found = response.json()
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    given = {"title": response.reason_phrase, "status": response.status_code, "detail": ""}
    return cast("Problem", given | found)
