"""The load generator: one thread, blocking sockets, `select`, and a clock.

Latency runs from the moment at which a request was *intended*, so a server that stalls cannot
hide the requests that piled up meanwhile. When all connections are busy further requests wait
here instead of drowning the server (ETUDE's backpressure, ICDE 2024), but with a running clock.
A click is sent only after the click before it of the same session was answered.

`select` and not an event loop: its timeout is exact to microseconds, those of epoll and of libuv
to a millisecond, which is as long as the answers that are to be measured.
"""

import gc
import select
import time
from collections import Counter, deque
from multiprocessing import get_context

import numpy as np

from benchmarks.load.connection import Connection
from benchmarks.load.plan import NO_PREDECESSOR, Outcome, Plan, Times

OK = 200
IDLE_SECONDS = 1.0


def run_apart(plan: Plan) -> Outcome:
    """Runs `plan` in a process of its own, so that it shares no interpreter with anything."""
    processes = get_context("forkserver")
    processes.set_forkserver_preload([__name__])  # else each run imports it anew: half a second
    with processes.Pool(1) as pool:
        return pool.apply(run, (plan,))


def run(plan: Plan) -> Outcome:
    """Sends the requests of `plan` and tells what became of them."""
    generator = _Generator(plan)
    gc.disable()  # a pause of the instrument would be taken for one of the server
    try:
        return generator.run()
    finally:
        gc.enable()
        generator.close()


class _Generator:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        count = len(plan.requests)
        self._due = [np.inf] * count if plan.due is None else plan.due.tolist()
        self._sent = [np.nan] * count
        self._answered = [np.nan] * count
        self._verdicts = [""] * count
        self._followers: dict[int, int] = {}  # an unanswered request -> the one that awaits it
        self._ready: deque[int] = deque()
        self._idle: list[Connection] = []
        self._busy: dict[int, Connection] = {}
        self._next = 0
        self._heard_at = 0.0
        self._punctual: list[int] = []

    def run(self) -> Outcome:
        cpu_started = time.process_time()
        self._started = time.perf_counter()
        while self._is_going_on():
            self._offer()
            self._send()
            self._collect()
        ended = self._now()
        return self._outcome(ended, time.process_time() - cpu_started)

    def close(self) -> None:
        for connection in [*self._idle, *self._busy.values()]:
            connection.close()

    def _now(self) -> float:
        return time.perf_counter() - self._started

    def _is_going_on(self) -> bool:
        if self._more_to_offer:
            return True
        is_waiting = bool(self._ready or self._busy)
        end = self._plan.seconds if self._plan.due is None else self._due[-1]
        return is_waiting and self._now() < end + self._plan.grace_seconds

    @property
    def _more_to_offer(self) -> bool:
        if self._next == len(self._due):
            return False
        return self._plan.due is not None or self._now() < self._plan.seconds

    @property
    def _room(self) -> int:
        """Further requests that may be on their way."""
        return self._plan.connections - len(self._busy)

    def _offer(self) -> None:
        """Moves due requests into the queue, or to the request that they have to await."""
        now, due, count = self._now(), self._due, len(self._due)
        if self._plan.due is None and self._more_to_offer:
            end = min(count, self._next + max(0, self._room - len(self._ready)))
            due[self._next : end] = [now] * (end - self._next)
        while self._next < count and due[self._next] <= now:
            self._offer_one(self._next)
            self._next += 1

    def _offer_one(self, request: int) -> None:
        predecessor = self._plan.predecessors[request]
        if predecessor != NO_PREDECESSOR and not self._verdicts[predecessor]:
            self._followers[predecessor] = request
            return
        self._ready.append(request)
        if len(self._ready) <= self._room:
            self._punctual.append(request)

    def _send(self) -> None:
        while self._ready and self._room:
            request, now = self._ready.popleft(), self._now()
            if not self._busy:
                self._heard_at = now
            connection = self._connection(now)
            self._sent[request] = now
            try:
                connection.send(request, self._plan.requests[request])
            except OSError:
                self._give_up(connection)
            else:
                self._busy[connection.fd] = connection

    def _connection(self, now: float) -> Connection:
        """One that the server cannot have closed for being idle."""
        if self._idle:
            connection = self._idle.pop()
            if now - connection.used_at < IDLE_SECONDS:
                return connection
            connection.close()
        return Connection(self._plan.port)

    def _collect(self) -> None:
        timeout = 1.0
        if self._more_to_offer:
            due = 0.0 if self._plan.due is None and self._room else self._due[self._next]
            timeout = min(timeout, max(0.0, due - self._now()))
        readable, _, _ = select.select(list(self._busy), [], [], timeout)
        if readable:
            self._heard_at = self._now()
        elif self._busy and self._now() - self._heard_at > self._plan.silence_seconds:
            raise TimeoutError(f"no answer for {self._plan.silence_seconds:.0f} s")
        for fd in readable:
            self._receive(self._busy[fd])

    def _receive(self, connection: Connection) -> None:
        try:
            answer = connection.receive()
        except OSError:
            del self._busy[connection.fd]
            self._give_up(connection)
            return
        if answer is not None:
            del self._busy[connection.fd]
            self._settle(connection.request, self._verdict(*answer))
            connection.used_at = self._now()
            self._idle.append(connection)

    def _verdict(self, status: int, body: bytes) -> str:
        if status != OK:
            return str(status)
        return "good" if all(each in body for each in self._plan.proofs) else "wrong answer"

    def _settle(self, request: int, verdict: str) -> None:
        self._answered[request] = self._now()
        self._verdicts[request] = verdict
        if (follower := self._followers.pop(request, None)) is not None:
            self._ready.append(follower)

    def _give_up(self, connection: Connection) -> None:
        connection.close()
        self._settle(connection.request, "lost connection")

    def _outcome(self, ended: float, cpu_seconds: float) -> Outcome:
        due, sent = np.array(self._due[: self._next]), np.array(self._sent[: self._next])
        answered = np.nan_to_num(np.array(self._answered[: self._next]), nan=ended)
        counted = due >= self._plan.warm_up_seconds
        if not counted.any():
            raise ValueError(f"no request after {self._plan.warm_up_seconds} s of warm-up")
        verdicts = [verdict or "no answer" for verdict in self._verdicts[: self._next]]
        failures = Counter(
            verdict
            for verdict, counts in zip(verdicts, counted.tolist(), strict=True)
            if counts and verdict != "good"
        )
        return Outcome(
            latencies=(answered - due)[counted],
            failures=dict(failures),
            sent_late=_late((sent - due)[self._punctual]),
            seconds=float(answered[counted].max() - due[counted].min()),
            cpu_seconds=cpu_seconds,
            num_sent=int(np.isfinite(sent).sum()),
            due=due[counted],
        )


def _late(delays: Times) -> float:
    return float(np.percentile(delays, 99)) if len(delays) else 0.0
