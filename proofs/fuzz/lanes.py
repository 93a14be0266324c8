"""Compares fast lanes with FastAPI: the same generated requests go to both.

Two applications serve one bundle, one of them without its fast lanes. Status, headers and body of
their answers must be equal, apart from the ids of requests and answers, and timings. Bodies are
valid, damaged or arbitrary bytes, and some are cut off. Some requests repeat a header.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from proofs.record import Figure
from service.app import create_app
from service.http.lanes.fast_lane import FastLanes
from service.settings import Settings

_IGNORED = {b"x-request-id", b"server-timing"}
_INVALID = 400
_FAILED = 500


@dataclass(frozen=True)
class Request:
    """A generated HTTP request, whose body arrives in `parts`.

    With `is_truncated`, the client disconnects after the last part, before the body is complete.
    """

    path: str
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    parts: Sequence[bytes]
    is_truncated: bool


@dataclass
class Tally:
    """The comparison of the answers so far.

    Attributes:
        counts: number of answers by HTTP status; 0 stands for no answer to a client that had left.
        differences: the requests whose answers differ, with both answers.
    """

    counts: Counter[int] = field(default_factory=Counter)
    differences: list[tuple[Request, object, object]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Number of compared requests."""
        return self.counts.total()

    def share(self, low: int, high: int) -> float:
        """Returns the share of answers whose status is at least `low` and below `high`."""
        found = sum(count for status, count in self.counts.items() if low <= status < high)
        return found / max(self.total, 1)


def requests(item_ids: Sequence[str]) -> st.SearchStrategy[Request]:
    """Returns a Hypothesis strategy of requests to the two routes that have fast lanes."""
    ids = st.one_of(
        st.sampled_from(item_ids), st.sampled_from(item_ids), st.text(min_size=1, max_size=4)
    )
    bodies = st.one_of(_valid_events(ids), _valid_queries(ids)).map(_encoded)
    targets = st.sampled_from(["/v1/recommendations", "/v1/sessions/s/events"])
    return st.builds(
        _request,
        target=_mostly(st.none(), 9, targets),
        valid=_mostly(bodies, 8, _any_bodies()),
        damage=_mostly(st.none(), 7, st.tuples(st.integers(0, 10**4), st.binary(max_size=3))),
        query=st.sampled_from(
            [b"", b"", b"k=3", b"k=3", b"", b"k=3", b"k=0", b"k=3&k=2", b"k=%33", b"x=1"]
        ),
        media_types=st.sampled_from(_MEDIA_TYPES),
        cut=_mostly(st.none(), 6, st.integers(0, 200)),
        is_truncated=st.sampled_from([False] * 12 + [True]),
        has_length=st.sampled_from([True, True, True, False]),
    )


_MEDIA_TYPES: Sequence[Sequence[bytes]] = (
    *[(b"application/json",)] * 8,
    (b"application/json; charset=utf-8",),
    (b"text/plain",),
    (b"application/json", b"text/plain"),
    (b"text/plain", b"application/json"),
    (),
)


def _mostly(
    common: st.SearchStrategy[Any], weight: int, rare: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Returns a strategy that draws from `common` `weight` times as often as from `rare`.

    Hypothesis' own `one_of` has no weights.
    """
    return st.sampled_from([common] * weight + [rare]).flatmap(lambda strategy: strategy)


def _valid_events(ids: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"item_id": ids},
        optional={
            "event_id": st.sampled_from(["e1", "e2", "e3"]),
            "event_type": st.sampled_from(["click", "purchase", "no such type"]),
            "timestamp": st.sampled_from([0, 1_700_000_000_000, "now"]),
            "value": st.floats() | st.integers(),
            "recommendation_id": st.sampled_from(["0" * 48, "x"]),
            "consent": st.booleans(),
        },
    )


def _valid_queries(ids: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    lists = st.lists(ids, min_size=1, max_size=3)
    return st.fixed_dictionaries(
        {"history": lists},
        optional={
            "k": st.integers(1, 20),
            "exclude": lists,
            "mask_seen": st.booleans(),
            "consent": st.booleans(),
            "session_id": st.sampled_from(["s", "t"]),
            "explain": st.sampled_from([False] * 30 + [True]),
        },
    )


def _any_bodies() -> st.SearchStrategy[bytes]:
    values = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.sampled_from(["history", "k", "item_id", "allow", "x"]), inner),
        ),
        max_leaves=6,
    )
    return st.one_of(values.map(_encoded), st.binary(max_size=20))


def _encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def _request(
    *,
    target: str | None,
    valid: bytes,
    damage: tuple[int, bytes] | None,
    query: bytes,
    media_types: Sequence[bytes],
    cut: int | None,
    is_truncated: bool,
    has_length: bool,
) -> Request:
    body = valid
    if damage:
        place = damage[0] % (len(body) + 1)
        body = body[:place] + damage[1] + body[place + 1 :]
    is_event = b'"item_id"' in body
    path = target or ("/v1/sessions/s/events" if is_event else "/v1/recommendations")
    headers = [(b"content-type", each) for each in media_types]
    if has_length:
        headers.append((b"content-length", str(len(body) + is_truncated).encode()))
    parts = [body] if cut is None else [body[:cut], body[cut:]]
    return Request(path, query, headers, parts, is_truncated)


async def answer_of(app: FastAPI, request: Request) -> tuple[int, object, bytes]:
    """Sends a request to an application; returns status, headers and body of the answer.

    Request id, timings and `content-length` are left out. If the client had left and the
    application did not answer, the status is 0.
    """
    messages: list[Message] = [
        {"type": "http.request", "body": each, "more_body": True} for each in request.parts
    ]
    messages[-1]["more_body"] = request.is_truncated
    messages.append({"type": "http.disconnect"})
    answers: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    async def send(message: Message) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": request.query,
        "root_path": "",
        "headers": list(request.headers),
    }
    await app(scope, receive, send)
    if not answers:
        return 0, None, b""
    headers = sorted(each for each in answers[0]["headers"] if each[0] not in _IGNORED)
    body = b"".join(each.get("body", b"") for each in answers[1:])
    without_length = [each for each in headers if each[0] != b"content-length"]
    return answers[0]["status"], without_length, _VARYING.sub(b"", body)


_VARYING = re.compile(rb'"latency_ms":\s*[\d.]+|"recommendation_id":\s*"[0-9a-f]{48}"')


def compare(bundle: Path, bodies: int) -> Tally:
    """Compares the application with fast lanes and the one without on `bodies` generated requests.

    Both get the requests in the same order.
    """
    tally = Tally()
    by_lane, by_fastapi = (create_app(Settings(bundle_path=bundle)) for _ in range(2))
    by_fastapi.user_middleware = [
        each for each in by_fastapi.user_middleware if cast(object, each.cls) is not FastLanes
    ]
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        for app in (by_lane, by_fastapi):
            runner.run(stack.enter_async_context(app.router.lifespan_context(app)))
        catalog = by_lane.state.runtime.variants.control.recommender.catalog
        item_ids = [item.item_id for item in catalog.search("", 20)]

        async def both(request: Request) -> tuple[object, object]:
            one, other = await answer_of(by_lane, request), await answer_of(by_fastapi, request)
            tally.counts[one[0]] += 1
            return one, other

        @settings(
            max_examples=bodies,
            database=None,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(requests(item_ids))
        def check(request: Request) -> None:
            one, other = runner.run(both(request))
            if one != other:
                tally.differences.append((request, one, other))

        check()
        runner.run(stack.aclose())
    return tally


def lane_figures(bundle: Path, bodies: int) -> Iterator[Figure]:
    """Yields the figures of a comparison; prints the first five requests whose answers differ."""
    tally = compare(bundle, bodies)
    for request, one, other in tally.differences[:5]:
        print(request, one, other, sep="\n  ")  # noqa: T201 - what a reader needs to repair it
    yield Figure("compared bodies", "bodies", tally.total, at_least=bodies)
    yield Figure("answered 200", "share", tally.share(200, _INVALID), at_least=0.3)
    yield Figure("answered 5xx", "share", tally.share(_FAILED, 600), at_most=0)
    yield Figure("differences", "bodies", len(tally.differences), at_most=0)
