"""Measures the CPU time of each part of a request, from HTTP to serialisation.

Each step asks a server for more than the one before: a constant response (of a bare uvicorn), the
check of an event, its storage, and an answer with the next items. The difference between two steps
is the cost of a part. Ranking is also timed in this process, without HTTP, one history at a time.
The service lets requests that are ready together share an inference. So `infer` is higher than in
the service, and the last part, `serialise`, is lower by the same amount; their sum is right.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median_high

import numpy as np
import orjson
from matplotlib.axes import Axes

from benchmarks.load.clicks import Click
from benchmarks.load.connection import post
from benchmarks.load.cpu_time import cpu_us
from benchmarks.load.generator import run_in_process
from benchmarks.load.workloads import (
    HISTORY_LENGTH,
    SERVICE,
    Endpoint,
    K,
    closed_loop,
    fill_regulars,
    regulars,
    require_answers,
)
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings, Report
from benchmarks.results.plots import BLUE, GRAY, GREEN, ORANGE
from benchmarks.subjects.bare_graph import common_case_run
from benchmarks.subjects.processes import (
    RunningProgram,
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
MAX_RATE = 10_000  # requests per second; more than a closed loop reaches

IN_QUICK_RUN = False  # none of its figures has a target


def _event_without_consent(click: Click) -> bytes:
    body = {"item_id": click.item_id, "consent": False}
    return post(f"/v1/sessions/{click.session_id}/events", orjson.dumps(body))


def _event(click: Click) -> bytes:
    return post(f"/v1/sessions/{click.session_id}/events", orjson.dumps({"item_id": click.item_id}))


CONSTANT = Endpoint(_event_without_consent, ())
CHECKED = Endpoint(_event_without_consent, (b'"stored":false',))
STORED = Endpoint(_event, (b'"stored":true',))
PARTS = ("HTTP", "parse, route, count", "history", "infer", "select", "serialise")
Costs = Mapping[str, float]
"""Maps the name of a part to its CPU time in microseconds."""


@dataclass(frozen=True)
class Servers:
    """The running servers of this benchmark.

    Attributes:
        subject: the bundle that the service serves.
        service: the service.
        bare: uvicorn with a constant response.
        redis: the Redis of the service.
        seconds: duration of each step.
    """

    subject: Subject
    service: RunningProgram
    bare: RunningProgram
    redis: RunningProgram
    seconds: float

    def cost(self, server: RunningProgram, endpoint: Endpoint) -> float:
        """Saturates `server` with clicks; returns its CPU time per request, in microseconds."""
        clicks = regulars(self.subject.item_ids, round(self.seconds * MAX_RATE))
        plan = closed_loop(
            clicks, endpoint, server.port, seconds=self.seconds, connections=CONNECTIONS
        )
        before = server.cpu_seconds()
        outcome = require_answers(run_in_process(plan))
        return (server.cpu_seconds() - before) / outcome.num_sent * 1e6

    def costs(self, ranking: Costs) -> Costs:
        """Runs all steps; returns the CPU time of each part, in the order of PARTS.

        `ranking` is the CPU time of ranking without HTTP, from `_time_ranking`.
        """
        fill_regulars(self.redis.port, self.service.port, SERVICE, self.subject.item_ids)
        constant = self.cost(self.bare, CONSTANT)
        checked = self.cost(self.service, CHECKED)
        stored = self.cost(self.service, STORED)
        recommended = self.cost(self.service, SERVICE)
        infer, select = ranking["infer"], ranking["recommend"] - ranking["infer"]
        costs = (
            constant,
            checked - constant,
            stored - checked,
            infer,
            select,
            recommended - stored - infer - select,
        )
        return dict(zip(PARTS, costs, strict=True))


def measure(options: Options) -> Findings:
    """Measures the CPU time of all parts of a request, in several rounds."""
    subject, port = make_subject(options), free_port()
    bare = [sys.executable, "-m", "uvicorn", "benchmarks.subjects.bare_http:app"]
    arguments = ["--port", str(port), "--no-access-log", "--lifespan", "off"]
    rounds, rankings = [], []
    with (
        running_redis() as redis,
        running_service(subject.bundle, redis) as service,
        running([*bare, *arguments], port, "/") as server,
    ):
        servers = Servers(subject, service, server, redis, options.pick(3, quick=1))
        for _ in range(options.pick(3, quick=1)):
            rankings.append(_time_ranking(subject))
            rounds.append(servers.costs(rankings[-1]))
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
            "HTTP": "uvicorn with a constant response; no Python code behind it can reduce this",
            "serialise": "the rest: encoding the answer as JSON, headers, writing to the socket; "
            "less what requests save that share an inference, since infer is of one at a time",
        },
        series={part: [each[part] for each in rounds] for part in PARTS},
    )


def draw(axes: Axes, report: Report) -> None:
    """Draws one bar, in which the CPU times of all parts are stacked."""
    left = 0.0
    colours = (GRAY, BLUE, "#457b9d", GREEN, "#e9c46a", ORANGE)
    for (part, runs), colour in zip(report.series.items(), colours, strict=True):
        width = median_high(runs)
        axes.barh(0, width, left=left, color=colour, label=f"{part}: {width:.0f} µs")
        left += width
    axes.set(yticks=[], xlabel="µs of CPU per request", ylim=(-0.6, 1.6))
    axes.set_title("where a request spends its time")
    axes.legend(frameon=False, ncols=3, fontsize=8, loc="upper center")


def _time_ranking(subject: Subject) -> Costs:
    """Returns the CPU time of ranking, measured in three ways, by name.

    `graph` is the graph alone. `infer` also makes its inputs and converts its outputs. `recommend`
    is all work, from the item ids of a history to recommended item ids.
    """
    recommender = load_recommender(subject.bundle, max_k=100)
    run_graph = common_case_run(BundleLayout(subject.bundle).common_case)
    generator = np.random.default_rng(0)
    history = generator.integers(1, len(subject.item_ids) + 1, HISTORY_LENGTH).tolist()
    query = Query([subject.item_ids[index - 1] for index in history], K)
    index_query = IndexQuery(history, K)
    return cpu_us(
        {
            "graph": lambda: run_graph(history, K),
            "infer": lambda: recommender.student.rank(index_query),
            "recommend": lambda: recommender.recommend(query),
        }
    )


def _figure(name: str, runs: list[float]) -> Figure:
    return Figure(name=name, unit="µs CPU", runs=tuple(runs))
