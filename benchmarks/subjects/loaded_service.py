"""The service and its Redis under a load, with the CPU time that each of them takes."""

from dataclasses import dataclass

from benchmarks.load.generator import run_in_process
from benchmarks.load.plan import Outcome, Plan, Times
from benchmarks.load.workloads import (
    SERVICE,
    closed_loop,
    fill_regulars,
    open_loop,
    regulars,
    visitors,
)
from benchmarks.subjects.processes import RunningProgram
from benchmarks.subjects.subject import Subject

MAX_RATE = 8_000  # requests a second; above what a closed loop reaches on these machines
WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class LoadRun:
    """The outcome of a load, and the CPU time per request of service and Redis meanwhile."""

    outcome: Outcome
    service_us: float
    redis_us: float


@dataclass(frozen=True)
class LoadedService:
    """A running service, its Redis, and the subject that it serves."""

    subject: Subject
    service: RunningProgram
    redis: RunningProgram

    def reset_histories(self) -> None:
        """Gives all regulars their full histories again, so that runs start from one state."""
        fill_regulars(self.redis.port, self.service.port, SERVICE, self.subject.item_ids)

    def run_at(self, due: Times, *, new_visitors: bool = False) -> LoadRun:
        """Sends clicks at the times of `due`: of regulars, or of new visitors."""
        make_clicks = visitors if new_visitors else regulars
        clicks = make_clicks(self.subject.item_ids, len(due))
        return self._run(open_loop(clicks, SERVICE, self.service.port, due, WARM_UP_SECONDS))

    def run_saturated(self, seconds: float) -> LoadRun:
        """Sends clicks as fast as they are answered."""
        clicks = regulars(self.subject.item_ids, round(seconds * MAX_RATE))
        plan = closed_loop(clicks, SERVICE, self.service.port, seconds=seconds, connections=16)
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
