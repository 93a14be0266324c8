"""An LLM behind an OpenAI-compatible server (vLLM, llama.cpp, …): `model = "openai:NAME"`."""

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
from training.settings.teacher import REMOTE_PREFIX, TeacherConfig
from training.teacher.generative.engine import History, Written
from training.teacher.llm.prompts import INSTRUCTION, one_line

KEY_VARIABLE = "OPENAI_API_KEY"
CHAT_RULE = "Answer with its title alone."
TITLES_PER_REQUEST = 64
CHARACTERS_PER_TOKEN = 4  # of English, nearly; only sizes of batches depend on it
FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0
PASSING = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(frozen=True)
class RemoteEngine:
    """Writes titles and sees them by HTTP; several requests are under way at once.

    Attributes:
        key: sent as a bearer's token.
        transport: how requests travel, by default by network.
    """

    config: TeacherConfig
    catalog: Catalog
    key: str | None = None
    transport: httpx.BaseTransport | None = None

    @property
    def name(self) -> str:
        """Of the model, as the server knows it."""
        return self.config.model.removeprefix(REMOTE_PREFIX)

    def prompt_lengths(self, histories: Sequence[History]) -> NDArray[np.int64]:
        """Tokens in the prompt of each history, by its characters."""
        titles = np.array([0, *map(len, self.catalog.titles)]) + 1  # and the line's end
        lengths = [titles[list(history)].sum() for history in histories]
        return (np.array(lengths, dtype=np.int64) + len(INSTRUCTION)) // CHARACTERS_PER_TOKEN

    def write(self, histories: Sequence[History]) -> list[Written]:
        """The title that comes next, greedily.

        Raises:
            EndpointError: the server is not there, refuses, or answers something else.
        """
        return self._all(self._write, histories)

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """How the server's embedding model sees titles; raises as `write`."""
        starts = range(0, len(titles), TITLES_PER_REQUEST)
        batches = [titles[start : start + TITLES_PER_REQUEST] for start in starts]
        return np.concatenate(self._all(self._embed, batches))

    def _all(self, ask: Callable[[httpx.Client, Q], A], questions: Sequence[Q]) -> list[A]:
        endpoint = self.config.endpoint
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        client = httpx.Client(
            headers=headers, timeout=endpoint.timeout_seconds, transport=self.transport
        )
        with client, ThreadPoolExecutor(endpoint.concurrency) as threads:
            return list(threads.map(partial(ask, client), questions))

    def _write(self, client: httpx.Client, history: History) -> Written:
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
        answer = self._post(client, endpoint.base_url + path, body)
        return self._written(history, answer, endpoint.base_url + path)

    def _written(self, history: History, answer: Any, url: str) -> Written:
        try:
            choice = answer["choices"][0]
            text = choice["message"]["content"] if "message" in choice else choice["text"]
            lines = [line.strip(' "') for line in text.splitlines()]
            tokens = (answer.get("usage") or {}).get("total_tokens")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise EndpointError(f"{url}: answers no completion: {str(answer)[:200]}") from None
        title = next((line for line in lines if line), "")
        return Written(title, tokens or int(self.prompt_lengths([history])[0]))

    def _embed(self, client: httpx.Client, titles: Sequence[str]) -> NDArray[np.float32]:
        endpoint = self.config.endpoint
        url = (endpoint.embedding_url or endpoint.base_url) + "/embeddings"
        model = endpoint.embedding_model or self.name
        # Servers refuse an empty text, and what a model wrote may be empty.
        body = {"model": model, "input": [one_line(title) or "-" for title in titles]}
        answer = self._post(client, url, body)
        try:
            in_order = sorted(answer["data"], key=lambda each: int(each["index"]))
            embeddings = np.array([each["embedding"] for each in in_order], dtype=np.float32)
        except (KeyError, TypeError, ValueError):
            raise EndpointError(f"{url}: answers no embeddings: {str(answer)[:200]}") from None
        if embeddings.shape[:1] != (len(titles),) or embeddings.ndim != 2:
            raise EndpointError(f"{url}: {embeddings.shape} embeddings for {len(titles)} titles")
        return embeddings

    def _post(self, client: httpx.Client, url: str, body: Mapping[str, Any]) -> Any:
        """The JSON that is answered; tries again what may succeed later."""
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
                if response.status_code not in PASSING:
                    break
                pause = _wished_pause(response) or pause
            if attempt < self.config.endpoint.retries:
                time.sleep(min(pause, MAX_PAUSE_SECONDS))
        raise EndpointError(f"{url}: {problem}")


def remote_engine(config: TeacherConfig, catalog: Catalog) -> RemoteEngine:
    """The engine that `config` names, with the key of the environment.

    Raises:
        ConfigError: it is asked for what such a server does not do.
    """
    if config.writing.num_beams > 1:
        beams = config.writing.num_beams
        raise ConfigError(f"teacher.writing.num_beams = {beams}: {config.model!r} writes greedily")
    return RemoteEngine(config, catalog, os.environ.get(KEY_VARIABLE))


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise EndpointError(f"{response.url}: answers no JSON: {response.text[:200]}") from None


def _wished_pause(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait, if it says so."""
    wish = response.headers.get("Retry-After", "")
    return float(wish) if wish.isdecimal() else None
