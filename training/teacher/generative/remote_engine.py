"""The remote engine: lets an OpenAI-compatible server, such as vLLM or llama.cpp, write titles.

A generative teacher uses this engine if `teacher.model` is `openai:NAME`.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
import numpy as np
from numpy.typing import NDArray

from training.data.catalog import Catalog
from training.errors import ConfigError, EndpointError
from training.progress import Advance, ignore_progress
from training.settings.teacher import REMOTE_PREFIX, TeacherConfig
from training.teacher.generative.engine import History, WrittenTitle
from training.teacher.llm.prompts import INSTRUCTION, one_line

KEY_VARIABLE = "OPENAI_API_KEY"
CHAT_RULE = "Answer with its title alone."
TITLES_PER_REQUEST = 64
CHARACTERS_PER_TOKEN = 4  # rough average in English; only the sizes of batches depend on it
FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0
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

Input = TypeVar("Input")
Output = TypeVar("Output")


@dataclass(frozen=True)
class RemoteEngine:
    """Lets a server write and embed titles, with concurrent HTTP requests; implements `Engine`.

    Attributes:
        config: settings of the teacher.
        catalog: the items with their titles.
        key: API key, sent as a bearer token; None sends none.
        transport: transport of the HTTP client, which tests replace; None uses the network.
    """

    config: TeacherConfig
    catalog: Catalog
    key: str | None = None
    transport: httpx.BaseTransport | None = None

    @property
    def name(self) -> str:
        """Name of the model on the server."""
        return self.config.model.removeprefix(REMOTE_PREFIX)

    def prompt_lengths(self, histories: Sequence[History]) -> NDArray[np.int64]:
        """Estimates the tokens of each prompt from its number of characters, `[histories]`."""
        titles = np.array([0, *map(len, self.catalog.titles)]) + 1  # the newline
        lengths = [titles[list(history)].sum() for history in histories]
        return (np.array(lengths, dtype=np.int64) + len(INSTRUCTION)) // CHARACTERS_PER_TOKEN

    def write(
        self, histories: Sequence[History], advance: Advance = ignore_progress
    ) -> list[WrittenTitle]:
        """Lets the server write the next title after each history, by greedy decoding.

        Raises:
            EndpointError: the server is unreachable, refuses a request, or answers malformed JSON.
        """
        return self._request_all(self._write, histories, advance)

    def embed(
        self, titles: Sequence[str], advance: Advance = ignore_progress
    ) -> NDArray[np.float32]:
        """Lets the server's embedding model embed titles, `[titles, size]`.

        Raises:
            EndpointError: the server is unreachable, refuses a request, or answers malformed JSON.
        """
        starts = range(0, len(titles), TITLES_PER_REQUEST)
        batches = [titles[start : start + TITLES_PER_REQUEST] for start in starts]
        return np.concatenate(self._request_all(self._embed, batches, advance))

    def _request_all(
        self,
        request: Callable[[httpx.Client, Input], Output],
        inputs: Sequence[Input],
        advance: Advance,
    ) -> list[Output]:
        endpoint = self.config.endpoint
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        client = httpx.Client(
            headers=headers, timeout=endpoint.timeout_seconds, transport=self.transport
        )
        with client, ThreadPoolExecutor(endpoint.concurrency) as threads:
            outputs = []
            for output in threads.map(partial(request, client), inputs):
                outputs.append(output)
                advance(1 / len(inputs))
            return outputs

    def _write(self, client: httpx.Client, history: History) -> WrittenTitle:
        endpoint = self.config.endpoint
        lines = "".join(f"{one_line(self.catalog.title(item))}\n" for item in history)
        body: dict[str, Any] = {
            "model": self.name,
            "max_tokens": self.config.writing.max_new_tokens,
            "temperature": 0,
        }
        if endpoint.api == "chat":
            instruction = {"role": "system", "content": f"{INSTRUCTION}{CHAT_RULE}"}
            body["messages"] = [instruction, {"role": "user", "content": lines}]
            path = "/chat/completions"
        else:
            body |= {"prompt": INSTRUCTION + lines, "stop": ["\n"]}
            path = "/completions"
        completion = self._post(client, endpoint.base_url + path, body)
        return self._written_title(history, completion, endpoint.base_url + path)

    def _written_title(self, history: History, completion: Any, url: str) -> WrittenTitle:
        try:
            choice = completion["choices"][0]
            text = choice["message"]["content"] if "message" in choice else choice["text"]
            lines = [line.strip(' "') for line in text.splitlines()]
            tokens = (completion.get("usage") or {}).get("total_tokens")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise EndpointError(
                f"{url}: the response is not a completion: {str(completion)[:200]}"
            ) from None
        title = next((line for line in lines if line), "")
        return WrittenTitle(title, tokens or int(self.prompt_lengths([history])[0]))

    def _embed(self, client: httpx.Client, titles: Sequence[str]) -> NDArray[np.float32]:
        endpoint = self.config.endpoint
        url = (endpoint.embedding_url or endpoint.base_url) + "/embeddings"
        model = endpoint.embedding_model or self.name
        # A model may write an empty title, and servers refuse to embed an empty text.
        body = {"model": model, "input": [one_line(title) or "-" for title in titles]}
        response = self._post(client, url, body)
        try:
            in_order = sorted(response["data"], key=lambda each: int(each["index"]))
            embeddings = np.array([each["embedding"] for each in in_order], dtype=np.float32)
        except (KeyError, TypeError, ValueError):
            raise EndpointError(
                f"{url}: the response has no embeddings: {str(response)[:200]}"
            ) from None
        if embeddings.shape[:1] != (len(titles),) or embeddings.ndim != 2:
            raise EndpointError(
                f"{url}: embeddings of shape {embeddings.shape} for {len(titles)} titles: must be "
                "one list of numbers for each title"
            )
        return embeddings

    def _post(self, client: httpx.Client, url: str, body: Mapping[str, Any]) -> Any:
        """Posts `body` as JSON to `url` and returns the parsed JSON of the response.

        After an error that may be temporary, the request is repeated, with increasing pauses.

        Raises:
            EndpointError: all attempts failed, or the error is not temporary.
        """
        for attempt in range(self.config.endpoint.retries + 1):
            problem, pause = "", FIRST_PAUSE_SECONDS * 2**attempt
            try:
                response = client.post(url, json=body)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__} {error}".strip()
            else:
                if response.is_success:
                    return _json(response)
                problem = f"{response.status_code} {response.text[:200]}".strip()
                if response.status_code not in TRANSIENT_STATUSES:
                    break
                pause = _retry_after_seconds(response) or pause
            if attempt < self.config.endpoint.retries:
                time.sleep(min(pause, MAX_PAUSE_SECONDS))
        raise EndpointError(f"{url}: {problem}")


def remote_engine(config: TeacherConfig, catalog: Catalog) -> RemoteEngine:
    """Makes the engine for the server and the model that `config` names.

    The API key is read from the environment variable OPENAI_API_KEY; without it, no key is sent.

    Raises:
        ConfigError: beam search is on, which the OpenAI API does not offer.
    """
    if config.writing.num_beams > 1:
        beams = config.writing.num_beams
        raise ConfigError(
            f"teacher.writing.num_beams = {beams}: must be 1 for {config.model!r}, since a server "
            "has no beam search"
        )
    return RemoteEngine(config, catalog, os.environ.get(KEY_VARIABLE))


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise EndpointError(
            f"{response.url}: the response is not JSON: {response.text[:200]}"
        ) from None


def _retry_after_seconds(response: httpx.Response) -> float | None:
    """Returns the seconds in the Retry-After header; None if it is missing or a date."""
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else None
