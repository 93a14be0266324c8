"""No body costs much work or memory (seconds: `proofs hostile`), and no answer has many errors."""

import json
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from proofs.fixtures.load.hostile_bodies import BATCH, HOSTILE, RECOMMENDATIONS, many
from service.http.body_limit import MAX_BODY_BYTES
from service.http.body_structure import MAX_STRUCTURE, MAX_VALUES, has_too_much_structure

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_BYTES = 64_000
MAX_BYTES_OF_WORK = 10_000_000
MAX_CALLS = 2 * MAX_STRUCTURE
"""A request needs about 2,000 calls of functions; a call a key is all that a key may add."""


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


@contextmanager
def counted_calls() -> Iterator[list[str]]:
    """Collects the kinds of all calls of functions, those written in C too, in this thread."""
    calls: list[str] = []
    sys.setprofile(lambda _frame, event, _: calls.append(event) if "call" in event else None)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@contextmanager
def measured_memory() -> Iterator[list[int]]:
    """Measures the largest memory in bytes that is in use at once, once it ends."""
    peaks: list[int] = []
    tracemalloc.start()
    try:
        yield peaks
        peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


@pytest.mark.anyio
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8"])
async def test_a_hostile_body_costs_few_calls_and_is_answered_with_under_64_kb(
    client: "httpx.AsyncClient", name: str, media_type: str
) -> None:
    url, body = HOSTILE[name]
    assert len(body) <= MAX_BODY_BYTES
    await client.post(url, json={})  # the first request of all imports modules
    with counted_calls() as calls:
        response = await client.post(url, content=body, headers={"content-type": media_type})
    assert len(calls) < MAX_CALLS
    assert response.status_code == 422
    assert len(response.content) < MAX_ANSWER_BYTES
    assert len(response.json()["errors"]) <= 20


@pytest.mark.anyio
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_body_costs_less_than_10_mb_of_memory(
    client: "httpx.AsyncClient", name: str
) -> None:
    url, body = HOSTILE[name]
    with measured_memory() as peaks:
        await client.post(url, content=body, headers={"content-type": "application/json"})
    assert peaks[0] < MAX_BYTES_OF_WORK


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
    with measured_memory() as peaks:
        has_too_much_structure(body)
    assert peaks[0] < 4 * MAX_BODY_BYTES


@pytest.mark.parametrize("text", [b"," * 200_000, b"," * 65_524 + b"\\n"])
def test_a_string_that_is_longer_than_a_block_hides_what_is_in_it_and_nothing_after(
    text: bytes,
) -> None:
    hidden = b'{"history":["' + text + b'"]'
    commas = b"," * (MAX_VALUES - 10)
    assert not has_too_much_structure(hidden + commas + b"}")
    assert has_too_much_structure(hidden + commas + b"," * 11 + b"}")
