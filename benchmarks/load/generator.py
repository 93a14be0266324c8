"""The load generator: one thread with blocking sockets and `select`.

Latency is measured from the *intended* time of a request. A server that stalls therefore cannot
hide the requests that pile up meanwhile (no coordinated omission). When all connections are busy,
further requests wait in the generator and do not flood the server (backpressure as in ETUDE, ICDE
2024). This wait is part of their latency. A click is sent only after the previous click of its
session was answered.

The generator uses `select` and no event loop, because timeouts of `select` are exact to
microseconds. Timeouts of epoll and libuv are exact to a millisecond, which is as long as the
latencies to be measured.
"""

import gc
import select
import time
from collections import Counter, deque
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from benchmarks.load.connection import Connection
from benchmarks.load.plan import NO_PREDECESSOR, Outcome, Plan, Times

OK = 200
IDLE_SECONDS = 1.0


def run_in_process(plan: Plan) -> Outcome:
    """Runs `plan` in a separate process, where no other Python code delays the generator.

    Raises:
        BrokenExecutor: the process was killed, for example for lack of memory.
    """
    processes = get_context("forkserver")
    processes.set_forkserver_preload([__name__])  # saves half a second of imports per run
    with ProcessPoolExecutor(1, processes) as executor:
        return executor.submit(run, plan).result()


def run(plan: Plan) -> Outcome:
    """Sends the requests of `plan` and returns the outcome.

    Raises:
        OSError: no connection can be opened.
        TimeoutError: the server sends no answer for `plan.silence_seconds`.
        ValueError: all requests are due within the warm-up.
    """
    generator = _Generator(plan)
    gc.disable()  # pauses of the garbage collector would count as latency of the server
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
        self._followers: dict[int, int] = {}  # unanswered request -> the next one of its session
        self._ready: deque[int] = deque()
        self._idle: list[Connection] = []
        self._busy: dict[int, Connection] = {}
        self._next = 0
        self._last_answer_at = 0.0
        self._unblocked: list[int] = []

    def run(self) -> Outcome:
        cpu_started = time.process_time()
        self._started = time.perf_counter()
        while self._is_running():
            self._enqueue_due()
            self._send()
            self._collect()
        ended = self._now()
        return self._outcome(ended, time.process_time() - cpu_started)

    def close(self) -> None:
        for connection in [*self._idle, *self._busy.values()]:
            connection.close()

    def _now(self) -> float:
        return time.perf_counter() - self._started

    def _is_running(self) -> bool:
        if self._has_more:
            return True
        if not self._ready and not self._busy:
            return False
        end = self._plan.seconds if self._plan.due is None else self._due[-1]
        return self._now() < end + self._plan.grace_seconds

    @property
    def _has_more(self) -> bool:
        if self._next == len(self._due):
            return False
        return self._plan.due is not None or self._now() < self._plan.seconds

    @property
    def _num_free(self) -> int:
        """Number of further requests that may be sent before one is answered."""
        return self._plan.connections - len(self._busy)

    def _enqueue_due(self) -> None:
        """Queues the requests that are due and whose predecessor was answered."""
        now, due, count = self._now(), self._due, len(self._due)
        if self._plan.due is None and self._has_more:
            end = min(count, self._next + max(0, self._num_free - len(self._ready)))
            due[self._next : end] = [now] * (end - self._next)
        while self._next < count and due[self._next] <= now:
            self._enqueue(self._next)
            self._next += 1

    def _enqueue(self, request: int) -> None:
        predecessor = self._plan.predecessors[request]
        if predecessor != NO_PREDECESSOR and not self._verdicts[predecessor]:
            self._followers[predecessor] = request
            return
        self._ready.append(request)
        if len(self._ready) <= self._num_free:
            self._unblocked.append(request)

    def _send(self) -> None:
        while self._ready and self._num_free:
            request, now = self._ready.popleft(), self._now()
            if not self._busy:
                self._last_answer_at = now
            connection = self._connection(now)
            self._sent[request] = now
            try:
                connection.send(request, self._plan.requests[request])
            except OSError:
                self._fail(connection)
            else:
                self._busy[connection.fd] = connection

    def _connection(self, now: float) -> Connection:
        """Returns an idle connection, or a new one if the server may have closed the idle one."""
        if self._idle:
            connection = self._idle.pop()
            if now - connection.used_at < IDLE_SECONDS:
                return connection
            connection.close()
        return Connection(self._plan.port)

    def _collect(self) -> None:
        timeout = 1.0
        if self._has_more:
            due = 0.0 if self._plan.due is None and self._num_free else self._due[self._next]
            timeout = min(timeout, max(0.0, due - self._now()))
        readable, _, _ = select.select(list(self._busy), [], [], timeout)
        if readable:
            self._last_answer_at = self._now()
        elif self._busy and self._now() - self._last_answer_at > self._plan.silence_seconds:
            raise TimeoutError(f"the server gave no answer for {self._plan.silence_seconds:.0f} s")
        for fd in readable:
            self._receive(self._busy[fd])

    def _receive(self, connection: Connection) -> None:
        try:
            answer = connection.receive()
        except OSError:
            del self._busy[connection.fd]
            self._fail(connection)
            return
        if answer is not None:
            del self._busy[connection.fd]
            self._finish(connection.request, self._verdict(*answer))
            connection.used_at = self._now()
            self._idle.append(connection)

    def _verdict(self, status: int, body: bytes) -> str:
        if status != OK:
            return str(status)
        return "good" if all(each in body for each in self._plan.proofs) else "wrong answer"

    def _finish(self, request: int, verdict: str) -> None:
        self._answered[request] = self._now()
        self._verdicts[request] = verdict
        if (follower := self._followers.pop(request, None)) is not None:
            self._ready.append(follower)

    def _fail(self, connection: Connection) -> None:
        connection.close()
        self._finish(connection.request, "lost connection")

    def _outcome(self, ended: float, cpu_seconds: float) -> Outcome:
        due, sent = np.array(self._due[: self._next]), np.array(self._sent[: self._next])
        answered = np.nan_to_num(np.array(self._answered[: self._next]), nan=ended)
        counted = due >= self._plan.warm_up_seconds
        if not counted.any():
            raise ValueError(
                f"no request is due after the warm-up of {self._plan.warm_up_seconds} s; run longer"
            )
        verdicts = [verdict or "no answer" for verdict in self._verdicts[: self._next]]
        failures = Counter(
            verdict
            for verdict, counts in zip(verdicts, counted.tolist(), strict=True)
            if counts and verdict != "good"
        )
        return Outcome(
            latencies=(answered - due)[counted],
            failures=dict(failures),
            sent_late=_percentile_99((sent - due)[self._unblocked][counted[self._unblocked]]),
            seconds=float(answered[counted].max() - due[counted].min()),
            cpu_seconds=cpu_seconds,
            num_sent=int(np.isfinite(sent).sum()),
            due=due[counted],
        )


def _percentile_99(delays: Times) -> float:
    return float(np.percentile(delays, 99)) if len(delays) else 0.0
