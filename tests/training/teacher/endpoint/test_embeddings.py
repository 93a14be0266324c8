"""A server may answer a request for embeddings in many ways; only whole answers are read."""

import json
from typing import Any

import httpx
import pytest

from training.errors import EndpointError
from training.settings.endpoint import EndpointConfig
from training.teacher.endpoint.client import Endpoint
from training.teacher.endpoint.embeddings import MAX_SIZE, Embedded, embed_texts


def asked(data: Any, **more: Any) -> Embedded:
    """Asks a server that answers `data` for the embeddings of two titles."""
    answer = httpx.Response(200, content=json.dumps({"data": data, **more}))
    transport = httpx.MockTransport(lambda _: answer)
    return embed_texts(
        Endpoint(EndpointConfig(), transport=transport), "m", ["Alien", "エイリアン"]
    )


def two(first: Any, second: Any) -> list[dict[str, Any]]:
    return [{"index": 0, "embedding": first}, {"index": 1, "embedding": second}]


def test_embeddings_are_in_the_order_of_their_indices() -> None:
    assert asked(two([1, 2], [3, 4])[::-1]).embeddings.tolist() == [[1, 2], [3, 4]]


def test_tokens_are_those_that_the_server_counts_else_four_bytes_each() -> None:
    assert asked(two([1], [2]), usage={"total_tokens": 9}).tokens == 9
    assert asked(two([1], [2]), usage={"total_tokens": True}).tokens == 5 // 4 + 15 // 4
    assert asked(two([1], [2])).tokens == 5 // 4 + 15 // 4


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (None, "no embeddings"),
        ([], r"shape \(0,\) for 2 titles"),
        (two([1, 2], [3]), "no embeddings"),
        (two([1], [2])[:1], "for 2 titles"),
        ([*two([1], [2]), {"index": 2, "embedding": [3]}], "for 2 titles"),
        ([{"index": 0, "embedding": [1]}] * 2, "for 2 titles"),
        (two([], []), "embeddings of 0 numbers"),
        (two([0] * (MAX_SIZE + 1), [0] * (MAX_SIZE + 1)), "embeddings of 16385 numbers"),
        (two([1], [float("nan")]), "not finite, or above 65504"),
        (two([1], [1e300]), "not finite, or above 65504"),
        (two([1], [65_505]), "not finite, or above 65504"),
        (two([[1]], [[2]]), "one list of numbers for each title"),
        (two("AAAA", "AAAA"), "no embeddings"),
        ({"index": 0}, "no embeddings"),
    ],
)
def test_an_answer_that_is_no_embedding_of_each_title_is_refused(data: Any, problem: str) -> None:
    with pytest.raises(EndpointError, match=rf"/v1/embeddings: .*{problem}"):
        asked(data)
