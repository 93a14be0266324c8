"""Embeddings from a server with OpenAI's API, and the checks of what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import EndpointError
from training.teacher.endpoint.client import MAX_QUOTED_CHARACTERS, Endpoint

CHARACTERS_PER_TOKEN = 4  # rough average in English; for plans and for servers that do not count
MAX_SIZE = 16_384  # maximum number of dimensions of an embedding
MAX_CHARACTERS_PER_NUMBER = 32  # of JSON
MAX_OTHER_BYTES = 65_536  # of a response, beside its numbers
MAX_VALUES_BESIDE = 32  # of JSON, beside an embedding's numbers: its list, object, index, kind
MAX_OTHER_VALUES = 1_024  # of a response, beside its embeddings
MAX_MAGNITUDE = float(np.finfo(np.float16).max)  # embeddings are stored in half precision


@dataclass(frozen=True)
class Embedded:
    """Embeddings of texts, with what they cost.

    Attributes:
        embeddings: `[texts, size]`.
        tokens: number of tokens that the server read, by its own count, else estimated.
    """

    embeddings: NDArray[np.float32]
    tokens: int


def embed_texts(endpoint: Endpoint, model: str, texts: Sequence[str]) -> Embedded:
    """Asks a server for the embeddings of `texts` in one request.

    Args:
        endpoint: the client of the server.
        model: name of the model on the server.
        texts: texts to embed; servers refuse an empty one.

    Raises:
        EndpointError: the server is unreachable, refuses the request, or answers anything but one
            list of finite numbers for each text, all of one length.
    """
    config = endpoint.config
    url = (config.embedding_url or config.base_url) + "/embeddings"
    max_bytes = len(texts) * MAX_SIZE * MAX_CHARACTERS_PER_NUMBER + MAX_OTHER_BYTES
    max_values = len(texts) * (MAX_SIZE + MAX_VALUES_BESIDE) + MAX_OTHER_VALUES
    body = {"model": model, "input": list(texts)}
    response = endpoint.post(url, body, max_bytes, max_values)
    tokens = counted_tokens(response) or sum(map(estimated_tokens, texts))
    return Embedded(_embeddings(response, len(texts), url), tokens)


def estimated_tokens(text: str) -> int:
    """Returns about how many tokens a text has; counts bytes, as rarer scripts take more tokens."""
    return max(1, len(text.encode(errors="replace")) // CHARACTERS_PER_TOKEN)


def counted_tokens(response: Any) -> int | None:
    """Returns the tokens that a server says it has read and written; None if it does not say."""
    usage = response.get("usage") if isinstance(response, dict) else None
    counted = usage.get("total_tokens") if isinstance(usage, dict) else None
    is_count = isinstance(counted, int) and not isinstance(counted, bool) and counted > 0
    return counted if is_count else None


def _embeddings(response: Any, count: int, url: str) -> NDArray[np.float32]:
    try:
        in_order = sorted(response["data"], key=lambda each: int(each["index"]))
        indices = [int(each["index"]) for each in in_order]
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            embeddings = np.array([each["embedding"] for each in in_order], dtype=np.float32)
    except (KeyError, TypeError, ValueError, OverflowError):
        quoted = str(response)[:MAX_QUOTED_CHARACTERS]
        raise EndpointError(f"{url}: the response has no embeddings: {quoted}") from None
    if embeddings.ndim != 2 or indices != list(range(count)):
        raise EndpointError(
            f"{url}: embeddings of shape {embeddings.shape} for {count} titles: must be one list "
            "of numbers for each title"
        )
    if not 1 <= embeddings.shape[1] <= MAX_SIZE:
        raise EndpointError(
            f"{url}: embeddings of {embeddings.shape[1]} numbers: must be 1 to {MAX_SIZE}"
        )
    if not (np.abs(embeddings) <= MAX_MAGNITUDE).all():
        raise EndpointError(
            f"{url}: an embedding has a number that is not finite, or above {MAX_MAGNITUDE:.0f}"
        )
    return embeddings
