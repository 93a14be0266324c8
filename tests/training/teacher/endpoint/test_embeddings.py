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
    assert asked(two([1], [2]), usage={"total_tokens": 0}).tokens == 5 // 4 + 15 // 4
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
        (two([1], [-65_505]), "not finite, or above 65504"),
        (two([[1]], [[2]]), "one list of numbers for each title"),
        (two("AAAA", "AAAA"), "no embeddings"),
        ({"index": 0}, "no embeddings"),
    ],
)
def test_an_answer_that_is_no_embedding_of_each_title_is_refused(data: Any, problem: str) -> None:
    with pytest.raises(EndpointError, match=rf"/v1/embeddings: .*{problem}"):
        asked(data)


def test_an_answer_of_more_values_than_embeddings_have_is_refused_before_it_is_parsed() -> None:
    """Two embeddings have 2 * (16384 + 32) values at most, and 1024 others are allowed.

    An object counts as eight, and the comma after it as one: 9 * 3762 = 33858. Parsed, it takes
    24 times its bytes. The answer here is no JSON.
    """
    many = httpx.Response(200, content="{}," * 3_762)
    endpoint = Endpoint(EndpointConfig(), transport=httpx.MockTransport(lambda _: many))
    with pytest.raises(EndpointError, match="the response has more than 33856 values"):
        embed_texts(endpoint, "m", ["Alien", "エイリアン"])


def test_the_longest_embeddings_are_read() -> None:
    longest = [0.5] * MAX_SIZE
    assert asked(two(longest, longest)).embeddings.shape == (2, MAX_SIZE)
