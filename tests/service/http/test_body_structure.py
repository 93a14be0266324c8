"""No body costs as much as parsing a megabyte would, and no answer has many errors."""

import json
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from proofs.fixtures.load.hostile_bodies import BATCH, HOSTILE, RECOMMENDATIONS, many
from service.http.body_limit import MAX_BODY_BYTES
from service.http.body_structure import MAX_VALUES, has_too_much_structure

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_BYTES = 64_000
TENTH_OF_A_MEGABYTE = json.dumps([{"a": [1, "b"]}] * 6_250).encode()  # 40 ms for a megabyte


def full_query() -> dict[str, object]:
    attributes = {f"a{each}": ["x"] for each in range(16)}
    return {
        "history": ["1"] * 1000,
        "session_id": "s",
        "k": 20,
        "exclude": ["2"] * 900,
        "allow": attributes,
        "deny": attributes,
        "mask_seen": True,
    }


@pytest.mark.anyio
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8"])
async def test_a_hostile_body_costs_less_than_parsing_a_megabyte_and_is_answered_with_under_64_kb(
    client: "httpx.AsyncClient", name: str, media_type: str
) -> None:
    url, body = HOSTILE[name]
    assert len(body) <= MAX_BODY_BYTES
    headers = {"content-type": media_type}
    seconds, of_parsing = [], []
    for _ in range(3):  # the fastest, because a garbage collection may take longer
        started = time.thread_time()
        response = await client.post(url, content=body, headers=headers)
        answered = time.thread_time()
        json.loads(TENTH_OF_A_MEGABYTE)
        seconds.append(answered - started)
        of_parsing.append(time.thread_time() - answered)
    assert response.status_code == 422
    assert len(response.content) < MAX_ANSWER_BYTES
    assert len(response.json()["errors"]) <= 20
    assert min(seconds) < 10 * min(of_parsing)


@pytest.mark.anyio
async def test_an_answer_tells_how_many_errors_it_does_not_name(
    client: "httpx.AsyncClient",
) -> None:
    response = await client.post(RECOMMENDATIONS, json={f"x{each}": 1 for each in range(25)})
    assert len(response.json()["errors"]) == 20
    assert response.json()["detail"].endswith("; and 5 more")


@pytest.mark.anyio
async def test_the_largest_batch_is_answered(client: "httpx.AsyncClient") -> None:
    body = {"requests": [{"history": ["c"] * 1000, "exclude": ["d"] * 1000}] * 64}
    response = await client.post(BATCH, json=body)
    assert response.status_code == 200


def test_the_largest_valid_batch_is_within_the_limits() -> None:
    assert not has_too_much_structure(json.dumps({"requests": [full_query()] * 64}).encode())


def test_marks_in_strings_do_not_count() -> None:
    ids = json.dumps({"history": ['"[{:,\\' * 10] * 20_000}).encode()
    assert not has_too_much_structure(ids)


@pytest.mark.parametrize(("count", "is_too_much"), [(5000, False), (5001, True)])
def test_the_limit_of_structure_is_exact(count: int, is_too_much: bool) -> None:
    marks = b"[" + many(b'{"a\\\\":"\\":"}', (count - 1) // 2) + b"[]" * ((count - 1) % 2) + b"]"
    assert has_too_much_structure(marks) is is_too_much


@pytest.mark.parametrize(("count", "is_too_much"), [(MAX_VALUES, False), (MAX_VALUES + 1, True)])
def test_the_limit_of_values_is_exact(count: int, is_too_much: bool) -> None:
    assert has_too_much_structure(b"[" + b"1," * count + b"1]") is is_too_much


@pytest.mark.parametrize("first_line", [b'"\n', b'{"a": "\\\n'])
def test_a_broken_line_does_not_hide_the_structure_of_the_lines_after_it(first_line: bytes) -> None:
    """A lone quote, and an escape at the end of its line, begin a string that ends with it."""
    lines = first_line + many(b'{"a":1}', 2_501)  # 5,002 keys and objects
    assert has_too_much_structure(lines)


@pytest.mark.parametrize("name", HOSTILE)
def test_looking_at_a_body_takes_few_times_its_length_in_memory(name: str) -> None:
    _, body = HOSTILE[name]
    tracemalloc.start()
    try:
        has_too_much_structure(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MAX_BODY_BYTES


@pytest.mark.parametrize("text", [b"," * 200_000, b"," * 65_524 + b"\\n"])
def test_a_string_that_is_longer_than_a_block_hides_what_is_in_it_and_nothing_after(
    text: bytes,
) -> None:
    hidden = b'{"history":["' + text + b'"]'
    commas = b"," * (MAX_VALUES - 10)
    assert not has_too_much_structure(hidden + commas + b"}")
    assert has_too_much_structure(hidden + commas + b"," * 11 + b"}")
