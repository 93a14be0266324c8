"""The remote engine: lets an OpenAI-compatible server, such as vLLM or llama.cpp, write titles.

A generative teacher uses this engine if `teacher.model` is `openai:NAME`.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import httpx
import numpy as np
from numpy.typing import NDArray

from training.data.catalog import Catalog
from training.errors import ConfigError, EndpointError
from training.progress import Advance, ignore_progress
from training.settings.teacher import REMOTE_PREFIX, TeacherConfig
from training.teacher.endpoint.client import Endpoint, api_key
from training.teacher.endpoint.embeddings import (
    CHARACTERS_PER_TOKEN,
    counted_tokens,
    embed_texts,
)
from training.teacher.generative.engine import History, WrittenTitle
from training.teacher.llm.prompts import INSTRUCTION, one_line

CHAT_RULE = "Answer with its title alone."
TITLES_PER_REQUEST = 64
MAX_COMPLETION_BYTES = 1_048_576
MAX_WRITTEN_CHARACTERS = 512  # of a line; an array of all texts has the width of the longest one

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

    @cached_property
    def _endpoint(self) -> Endpoint:
        return Endpoint(self.config.endpoint, self.key, self.transport)

    def _request_all(
        self,
        request: Callable[[Endpoint, Input], Output],
        inputs: Sequence[Input],
        advance: Advance,
    ) -> list[Output]:
        endpoint = self._endpoint
        with ThreadPoolExecutor(self.config.endpoint.concurrency) as threads:
            outputs = []
            try:
                for output in threads.map(partial(request, endpoint), inputs):
                    outputs.append(output)
                    advance(1 / len(inputs))
            except KeyboardInterrupt:  # which must not wait for a killed server
                endpoint.interrupt()
                raise
            return outputs

    def _write(self, server: Endpoint, history: History) -> WrittenTitle:
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
        completion = server.post(endpoint.base_url + path, body, MAX_COMPLETION_BYTES)
        return self._written_title(history, completion, endpoint.base_url + path)

    def _written_title(self, history: History, completion: Any, url: str) -> WrittenTitle:
        try:
            choice = completion["choices"][0]
            text = choice["message"]["content"] if "message" in choice else choice["text"]
            # Half of a surrogate pair, such as of an emoji that was cut, cannot be sent on.
            text = text.encode(errors="replace").decode()
            lines = [line.strip(' "') for line in text.splitlines()]
        except (KeyError, IndexError, TypeError, AttributeError):
            raise EndpointError(
                f"{url}: the response is not a completion: {str(completion)[:200]}"
            ) from None
        title = next((line for line in lines if line), "")[:MAX_WRITTEN_CHARACTERS]
        tokens = counted_tokens(completion) or int(self.prompt_lengths([history])[0])
        return WrittenTitle(title, tokens)

    def _embed(self, server: Endpoint, titles: Sequence[str]) -> NDArray[np.float32]:
        model = self.config.endpoint.embedding_model or self.name
        # A model may write an empty title, and servers refuse to embed an empty text.
        texts = [one_line(title) or "-" for title in titles]
        return embed_texts(server, model, texts).embeddings


def remote_engine(config: TeacherConfig, catalog: Catalog) -> RemoteEngine:
    """Makes the engine for the server and the model that `config` names.

    The API key is read from the environment variable OPENAI_API_KEY; without it, no key is sent.

    Raises:
        ConfigError: beam search is on, which the OpenAI API does not offer, or a header cannot hold
            the key.
    """
    if config.writing.num_beams > 1:
        beams = config.writing.num_beams
        raise ConfigError(
            f"teacher.writing.num_beams = {beams}: must be 1 for {config.model!r}, since a server "
            "has no beam search"
        )
    return RemoteEngine(config, catalog, api_key())
