"""Puts load on a service and its Redis, and measures the CPU time of both."""

from dataclasses import dataclass

from benchmarks.load.generator import run_in_process
from benchmarks.load.plan import Outcome, Plan, Times
from benchmarks.load.workloads import (
    SERVICE,
    Endpoint,
    closed_loop,
    fill_regulars,
    open_loop,
    regulars,
    require_answers,
    visitors,
)
from benchmarks.subjects.processes import RunningProgram
from benchmarks.subjects.subject import Subject

MAX_RATE = 8_000  # requests per second; more than a closed loop reaches
WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class LoadRun:
    """The result of a run under load.

    Attributes:
        outcome: latencies and failures.
        service_us: CPU time of the service per request, in microseconds.
        redis_us: CPU time of Redis per request, in microseconds.
    """

    outcome: Outcome
    service_us: float
    redis_us: float

    def cost(self) -> float:
        """Returns `service_us` as the cost of an answer.

        Raises:
            BenchmarkError: too many requests were not answered.
        """
        require_answers(self.outcome)
        return self.service_us


@dataclass(frozen=True)
class LoadedService:
    """A running service with its Redis, the bundle that it serves, and the route under load."""

    subject: Subject
    service: RunningProgram
    redis: RunningProgram
    endpoint: Endpoint = SERVICE

    def reset_histories(self) -> None:
        """Empties Redis and gives all regulars full histories, so that every run starts alike.

        Regulars are the sessions that `benchmarks.load.workloads` makes.
        """
        fill_regulars(self.redis.port, self.service.port, self.endpoint, self.subject.item_ids)

    def run_at(self, due: Times, *, new_visitors: bool = False) -> LoadRun:
        """Sends clicks at the times `due`, and measures latency and CPU time.

        They are clicks of visitors if `new_visitors`, else of regulars
        (`benchmarks.load.workloads`).
        """
        make_clicks = visitors if new_visitors else regulars
        clicks = make_clicks(self.subject.item_ids, len(due))
        return self._run(open_loop(clicks, self.endpoint, self.service.port, due, WARM_UP_SECONDS))

    def run_saturated(self, seconds: float, *, connections: int = 16) -> LoadRun:
        """Sends clicks of regulars for `seconds`, each as soon as a connection is free."""
        clicks = regulars(self.subject.item_ids, round(seconds * MAX_RATE))
        endpoint, port = self.endpoint, self.service.port
        plan = closed_loop(clicks, endpoint, port, seconds=seconds, connections=connections)
        return self._run(plan)

    def _run(self, plan: Plan) -> LoadRun:
        service, redis = self.service.cpu_seconds(), self.redis.cpu_seconds()
        outcome = run_in_process(plan)
        per_request = 1e6 / outcome.num_sent
        return LoadRun(
            outcome,
            service_us=(self.service.cpu_seconds() - service) * per_request,
            redis_us=(self.redis.cpu_seconds() - redis) * per_request,
        )
