"""Where each microsecond of a request goes.

The service is asked for more and more: nothing but an answer (a bare uvicorn), an event that is
only checked, one that is stored too, one that is answered with the next items. What a step adds to
the CPU time per request is the cost of its part; ranking is also timed alone, in this process.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import orjson

from benchmarks.load.clicks import Click
from benchmarks.load.connection import post
from benchmarks.load.cpu_time import cpu_us
from benchmarks.load.generator import run_apart
from benchmarks.load.workloads import (
    HISTORY_LENGTH,
    SERVICE,
    Endpoint,
    K,
    closed,
    regulars,
    settle_regulars,
)
from benchmarks.options import Setting
from benchmarks.results.figures import Figure, Findings
from benchmarks.rivals.click_handler import plain_run
from benchmarks.subjects.processes import (
    Running,
    free_port,
    running,
    running_redis,
    running_service,
)
from benchmarks.subjects.subject import Subject, make_subject
from export.contract.bundle import BundleLayout
from service.bundles.loading import load_recommender
from service.ranking.recommender import Query
from service.ranking.types import IndexQuery

CONNECTIONS = 8
MOST_RATE = 10_000


def _checked(click: Click) -> bytes:
    body = {"item_id": click.item_id, "consent": False}
    return post(f"/v1/sessions/{click.session_id}/events", orjson.dumps(body))


def _stored(click: Click) -> bytes:
    return post(f"/v1/sessions/{click.session_id}/events", orjson.dumps({"item_id": click.item_id}))


ANSWERED = Endpoint(_checked, ())
CHECKED = Endpoint(_checked, (b'"stored":false',))
STORED = Endpoint(_stored, (b'"stored":true',))
PARTS = ("HTTP", "parse, route, count", "history", "infer", "select", "serialise")
Parts = Mapping[str, float]
"""Microseconds by part."""


@dataclass(frozen=True)
class Asked:
    """The servers, and the load on them."""

    subject: Subject
    service: Running
    bare: Running
    redis: Running
    seconds: float

    def cost(self, server: Running, endpoint: Endpoint) -> float:
        """Microseconds of the server's CPU per request."""
        clicks = regulars(self.subject.item_ids, round(self.seconds * MOST_RATE))
        plan = closed(clicks, endpoint, server.port, seconds=self.seconds, connections=CONNECTIONS)
        before = server.cpu_seconds()
        outcome = run_apart(plan)
        return (server.cpu_seconds() - before) / outcome.num_sent * 1e6

    def parts(self, ranking: Parts) -> Iterator[tuple[str, float]]:
        """The parts of a request, in its order; `ranking` was timed in this process."""
        settle_regulars(self.redis.port, self.service.port, SERVICE, self.subject.item_ids)
        answered = self.cost(self.bare, ANSWERED)
        checked = self.cost(self.service, CHECKED)
        stored = self.cost(self.service, STORED)
        recommended = self.cost(self.service, SERVICE)
        infer, select = ranking["infer"], ranking["recommend"] - ranking["infer"]
        costs = (
            answered,
            checked - answered,
            stored - checked,
            infer,
            select,
            recommended - stored - infer - select,
        )
        yield from zip(PARTS, costs, strict=True)


def measure(setting: Setting) -> Findings:
    """Asks for more and more, several times round; see the module."""
    subject, port = make_subject(setting), free_port()
    bare = [sys.executable, "-m", "uvicorn", "benchmarks.subjects.bare_http:app"]
    options = ["--port", str(port), "--no-access-log", "--lifespan", "off"]
    rounds, rankings = [], []
    with (
        running_redis() as redis,
        running_service(subject.bundle, redis) as service,
        running([*bare, *options], port, "/") as server,
    ):
        asked = Asked(subject, service, server, redis, setting.either(3, 1))
        for _ in range(round(setting.either(3, 1))):
            rankings.append(_ranking(subject))
            rounds.append(dict(asked.parts(rankings[-1])))
    return Findings(
        figures=(
            *(_figure(part, [each[part] for each in rounds]) for part in PARTS),
            _figure("infer: the graph alone", [each["graph"] for each in rankings]),
            _figure("a request in all", [sum(each.values()) for each in rounds]),
        ),
        conditions={
            "history": f"{HISTORY_LENGTH} items and more",
            "connections": CONNECTIONS,
            "bundle": subject.origin,
            "HTTP": "uvicorn answering ready bytes; the part that no Python behind it can mend",
            "serialise": "what is left: the answer as JSON, its headers, its bytes on the wire",
        },
        series={part: [each[part] for each in rounds] for part in PARTS},
    )


def _ranking(subject: Subject) -> Parts:
    recommender = load_recommender(subject.bundle, max_k=100)
    graph = plain_run(BundleLayout(subject.bundle).common_case)
    rng = np.random.default_rng(0)
    history = rng.integers(1, len(subject.item_ids) + 1, HISTORY_LENGTH).tolist()
    wanted = Query([subject.item_ids[index - 1] for index in history], K)
    question = IndexQuery(history, K)
    return cpu_us(
        {
            "graph": lambda: graph(history, K),
            "infer": lambda: recommender.student.rank(question),
            "recommend": lambda: recommender.recommend(wanted),
        }
    )


def _figure(name: str, runs: list[float]) -> Figure:
    return Figure(name=name, unit="µs CPU", runs=tuple(runs))
