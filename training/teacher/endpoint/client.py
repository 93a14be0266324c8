"""The client of a server with OpenAI's API: retries, waits, and bounds on what the server sends.

A request whose failure may be temporary is repeated. A server that has answered before is waited
for longer, since it was probably killed and comes back.
"""

import json
import os
import time
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from threading import Event, Lock
from typing import Any

import httpx

from training.cli import say
from training.errors import ConfigError, EndpointError
from training.settings.endpoint import EndpointConfig

KEY_VARIABLE = "OPENAI_API_KEY"
FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0
MAX_RETRY_AFTER_SECONDS = 600.0  # longest wait that a server may ask for
MAX_QUOTED_CHARACTERS = 200  # of a response, in an error message
VALUES_OF_A_CONTAINER = 8  # numbers that take as much memory as a list or an object of JSON
TRANSIENT_STATUSES = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class _TemporaryError(Exception):
    """A failure after which the same request may succeed.

    Attributes:
        retry_after: seconds that the server asks to wait for; None if it does not say.
    """

    def __init__(self, problem: str, retry_after: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


class Endpoint:
    """Client of the server that `[teacher.endpoint]` names; threads may share it."""

    def __init__(
        self,
        config: EndpointConfig,
        key: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Creates the client, which connects with the first request.

        Args:
            config: settings of the endpoint.
            key: API key, sent as a bearer token; None sends none.
            transport: transport of the HTTP client, which tests replace; None uses the network.
        """
        self.config = config
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(
            headers=headers, timeout=config.timeout_seconds, transport=transport
        )
        weakref.finalize(self, self._http.close)
        self._has_answered = False
        self._is_waited_for = False
        self._lock = Lock()
        self._interrupted = Event()

    def post(
        self, url: str, body: Mapping[str, Any], max_bytes: int, max_values: int | None = None
    ) -> Any:
        """Posts `body` as JSON to `url` and returns the parsed JSON of the response.

        After an error that may be temporary, the request is repeated, with increasing pauses.

        Args:
            url: address of the route.
            body: the request.
            max_bytes: maximum size of the response.
            max_values: maximum number of JSON values in the response, lists and objects counted
                eightfold: each takes more memory than bytes. None for no bound but `max_bytes`.

        Raises:
            EndpointError: all attempts failed, the error is not temporary, the response is too long
                or is not JSON, or the client was interrupted.
        """
        began, failures = time.monotonic(), 0
        while True:
            try:
                answer = self._attempt(url, body, max_bytes, max_values)
            except _TemporaryError as error:
                pause = _pause_seconds(failures, error.retry_after)
                failures += 1
                waited = time.monotonic() + pause - began
                if failures > self.config.retries and not self._waits(url, error, waited):
                    raise EndpointError(f"{url}: {error}") from None
                if self._interrupted.wait(pause):
                    raise EndpointError(f"{url}: interrupted after {error}") from None
            else:
                self._has_answered, self._is_waited_for = True, False
                return answer

    def interrupt(self) -> None:
        """Ends all waits of `post` with an error, for good; requests under way are not ended."""
        self._interrupted.set()

    def _waits(self, url: str, problem: Exception, seconds: float) -> bool:
        """Returns whether to wait for a server until `seconds` after the request began."""
        limit = self.config.outage_seconds
        if not self._has_answered or seconds > limit:
            return False
        with self._lock:
            is_new, self._is_waited_for = not self._is_waited_for, True
        if is_new:
            say(f"{url}: {problem}; it has answered before, so it is waited for, {limit:.0f} s")
        return True

    def _attempt(
        self, url: str, body: Mapping[str, Any], max_bytes: int, max_values: int | None
    ) -> Any:
        try:
            with self._http.stream("POST", url, json=body) as response:
                content = self._content(response, url, max_bytes)
        except httpx.TransportError as error:
            raise _TemporaryError(f"{type(error).__name__} {error}".strip()) from None
        except (httpx.RequestError, httpx.InvalidURL) as error:  # damaged compression, wrong names
            raise EndpointError(f"{url}: {type(error).__name__} {error}") from None
        text = _quoted(content)
        if response.status_code in TRANSIENT_STATUSES:
            problem = f"{response.status_code} {text}".strip()
            raise _TemporaryError(problem, _retry_after_seconds(response))
        if not response.is_success:
            raise EndpointError(f"{url}: {response.status_code} {text}".strip())
        return _parsed(content, url, max_values)

    def _content(self, response: httpx.Response, url: str, max_bytes: int) -> bytes:
        limit = time.monotonic() + self.config.timeout_seconds
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > max_bytes:
                raise EndpointError(f"{url}: the response has more than {max_bytes} bytes")
            if time.monotonic() > limit:  # httpx limits the time of each chunk only
                raise httpx.ReadTimeout("the response takes too long")
        return bytes(content)


def open_endpoint(config: EndpointConfig) -> Endpoint:
    """Makes the client of a server, with the key of `api_key`.

    Raises:
        ConfigError: for the reason of `api_key`.
    """
    return Endpoint(config, api_key())


def api_key() -> str | None:
    """Returns the key in OPENAI_API_KEY without white space around it; None if there is none.

    Raises:
        ConfigError: a header cannot hold the key; the message does not show it, as the HTTP
            client's own would.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"{KEY_VARIABLE}: has characters other than printable ASCII")
    return key or None


def _is_cut_short(content: bytes) -> bool:
    """Returns whether a response ends within an object, or before it.

    So ends that of a killed server which tells no length, or of a proxy before such a server.
    """
    text = content.strip()
    return not text or (text.startswith(b"{") and not text.endswith(b"}"))


def _parsed(content: bytes, url: str, max_values: int | None) -> Any:
    num_containers = content.count(b"[") + content.count(b"{")
    num_values = content.count(b",") + VALUES_OF_A_CONTAINER * num_containers
    if max_values is not None and num_values > max_values:
        raise EndpointError(f"{url}: the response has more than {max_values} values")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        if _is_cut_short(content):
            problem = f"a response that is cut short: {_quoted(content)}"
            raise _TemporaryError(problem.strip()) from None
        raise EndpointError(f"{url}: the response is not JSON: {_quoted(content)}") from None


def _quoted(content: bytes) -> str:
    return content[: 4 * MAX_QUOTED_CHARACTERS].decode(errors="replace")[:MAX_QUOTED_CHARACTERS]


def _pause_seconds(failures: int, retry_after: float | None) -> float:
    if retry_after is not None:
        return min(retry_after, MAX_RETRY_AFTER_SECONDS)
    # The exponent is bounded, as a long outage has many failures.
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 16), MAX_PAUSE_SECONDS)


def _retry_after_seconds(response: httpx.Response) -> float | None:
    """Returns the seconds until the time in the Retry-After header; None without a valid one."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # the latter for a part of too many digits
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
