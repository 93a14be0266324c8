"""The gate of heavy work: lets a few requests work at once; the others wait in a fair queue."""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.types import Scope

from service.admission.caller import Caller, caller_of
from service.admission.fair_queue import FairQueue
from service.errors import OverloadedError
from service.low_priority import LowPriorityThreads

Result = TypeVar("Result")
Slices = Generator[None, None, Result]
"""Heavy work in slices: each `yield` ends a slice, and the generator returns the result."""

REASONS: Mapping[str, str] = {
    "busy": "there is too much work on the event loop",
    "share": "there is much work on the event loop, and the key sends more than its share of it",
    "limit": "the key is over its rate or its daily quota, and was refused for that a moment ago",
    "full": "the queue of heavy work is full, or the request's turn would come too late",
    "deadline": "the time of the request is over",
    "left": "the client has closed the connection",
    "teacher": "there are too many requests for the teacher",
    "admin": "there are too many requests that change bundles or items",
    "bulk": "there are too many requests with many changes of items",
    "storing": "there are too many requests that store many events",
    "receiving": "the key's incomplete bodies have more bytes than all keys leave free",
}
"""Maps the reasons of refusals, as the metrics name them, to their meanings."""

Refusal = Callable[[str], None]
"""A function that counts a refusal by its reason, one of `REASONS`."""

_FIRST_SECONDS_PER_UNIT = 0.0005
_WEIGHT_OF_NEWEST = 0.2

_SAFETY = 4
"""Safety factor of the expected wait for a turn.

A request is accepted if its turn is expected within 1 / _SAFETY of its sender's waiting time.
Turns can become slower, and a late refusal is worse than an early one.
"""


@dataclass(slots=True, eq=False)
class _Waiting:
    caller: Caller
    units: int
    until: float
    granted: "asyncio.Future[None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Gate:
    """Lets at most `max_turns` requests work at once; the others wait in a FairQueue.

    A request is refused at once if the queue is full, or if its turn would come too late. A waiting
    request is dropped when its time is over or its sender has left.

    Attributes:
        running_units: units of the requests that have a turn.
        queued_units: units of the requests that wait.
        in_progress: number of requests that wait or have a turn, without those that hold a place
            in a Bound, where they count.
        threads: the threads in which requests with a turn work.
    """

    def __init__(self, max_turns: int, max_units: int, refused: Refusal) -> None:
        self.running_units = 0
        self._turns = 0
        self._counted_in_bounds = 0
        self._max_turns = max_turns
        self._queue: FairQueue[_Waiting] = FairQueue(max_units)
        self._refused = refused
        self._seconds_per_unit = _FIRST_SECONDS_PER_UNIT
        self.threads = LowPriorityThreads(max_turns)

    @property
    def queued_units(self) -> int:
        """Units of the requests that wait."""
        return self._queue.units

    @property
    def in_progress(self) -> int:
        """Number of requests that wait or have a turn, without those in a Bound."""
        return self._turns + len(self._queue) - self._counted_in_bounds

    def work_seconds(self, units: int) -> float:
        """Estimates the seconds for which a request with `units` has its turn."""
        return units * self._seconds_per_unit

    def wait_seconds(self, key: str = "", units: int = 1) -> float:
        """Estimates the seconds until a new request of `key` with `units` would get its turn."""
        if self._turns < self._max_turns:
            return 0.0
        before = self.running_units + self._queue.units_before(key, units)
        return before * self._seconds_per_unit / self._max_turns

    def retry_after(self, key: str, wait_seconds: float, units: int) -> int:
        """Decides on a new request: returns 0 if it is accepted, else the seconds before a retry.

        A request is refused, and the refusal counted, if its turn would come too late.

        Args:
            key: the id of the sender's key; empty without a key.
            wait_seconds: time for which the sender waits for the answer.
            units: cost of the request.
        """
        if not self._is_late(key, wait_seconds, units):
            return 0
        return self.refusal("full").retry_after

    def is_late(self, caller: Caller, units: int) -> bool:
        """Returns whether the turn of a new request would come too late for its sender.

        Counts no refusal. The arguments are those of `check`.
        """
        return self._is_late(caller.key, caller.wait_seconds, units)

    def _is_late(self, key: str, wait_seconds: float, units: int) -> bool:
        return _SAFETY * self.wait_seconds(key, units) > wait_seconds

    def check(self, caller: Caller, units: int) -> None:
        """Raises OverloadedError if the turn of a new request would come too late for its sender.

        `caller`: the sender. `units`: cost of the request.
        """
        seconds = self.retry_after(caller.key, caller.wait_seconds, units)
        if seconds:
            raise OverloadedError(seconds)

    async def enter(self, caller: Caller, units: int) -> "Turn":
        """Waits for a turn for a request of `caller` that costs `units`, and returns the turn.

        Raises:
            OverloadedError: the request is refused, its time is over or its sender has left.
        """
        self.check(caller, units)
        until = time.monotonic() + caller.wait_seconds
        waiting = _Waiting(caller, units, until)
        if self._turns < self._max_turns:
            self._grant(waiting)
        else:
            await self._wait(waiting)
        return Turn(self, waiting.units, caller, until)

    def leave(self, units: int, seconds: float) -> None:
        """Ends a turn with `units` that took `seconds`; gives free turns to waiting requests.

        The time per unit updates the estimates of `wait_seconds`.
        """
        self._turns -= 1
        self.running_units -= units
        newest = seconds / units
        self._seconds_per_unit += _WEIGHT_OF_NEWEST * (newest - self._seconds_per_unit)
        while self._turns < self._max_turns and (waiting := self._queue.pop()):
            if waiting.granted.done():  # its task was cancelled, and has not run since then
                continue
            if waiting.caller.has_left():
                self._refuse(waiting, "left")
            else:
                self._grant(waiting)

    def charge(self, key: str, units: int) -> None:
        """Adds `units` to the cost of a request of `key` that has a turn."""
        self.running_units += units
        self._queue.charge(key, units)

    def refusal(self, reason: str) -> OverloadedError:
        """Counts a refused or dropped request by `reason`; returns the error to raise."""
        self._refused(reason)
        return OverloadedError(max(1, math.ceil(self.wait_seconds())))

    @asynccontextmanager
    async def turn(self, scope: Scope, units: int) -> AsyncIterator["Turn"]:
        """Context manager: yields the turn of the request in `scope`; waits for one if it has none.

        Leaving the context ends the turn, unless the request had it already; then `units`, the cost
        of the work, are added to what it costs.

        Raises:
            OverloadedError: the request is refused, its time is over or its sender has left.
        """
        if "turn" in scope:
            scope["turn"].charge(units)
            yield scope["turn"]
            return
        is_in_bound = "place" in scope
        self._counted_in_bounds += is_in_bound
        try:
            turn = await self.enter(caller_of(scope), units)
            try:
                yield turn
            finally:
                turn.end()
        finally:
            self._counted_in_bounds -= is_in_bound

    async def _wait(self, waiting: _Waiting) -> None:
        for dropped in self._queue.push(waiting.caller.key, waiting.units, waiting):
            self._refuse(dropped, "full")
        loop, seconds = asyncio.get_running_loop(), waiting.caller.wait_seconds
        timer = loop.call_later(seconds, self._refuse, waiting, "deadline")
        try:
            await waiting.granted
        except asyncio.CancelledError:
            self._abandon(waiting)
            raise
        finally:
            timer.cancel()

    def _abandon(self, waiting: _Waiting) -> None:
        """Removes a cancelled request from the queue, or ends its turn if it has one."""
        self._queue.remove(waiting.caller.key, waiting)
        granted = waiting.granted
        if granted.done() and not granted.cancelled() and granted.exception() is None:
            self.leave(waiting.units, self._seconds_per_unit * waiting.units)

    def _grant(self, waiting: _Waiting) -> None:
        self._turns += 1
        self.running_units += waiting.units
        waiting.granted.set_result(None)

    def _refuse(self, waiting: _Waiting, reason: str) -> None:
        self._queue.remove(waiting.caller.key, waiting)
        if not waiting.granted.done():
            waiting.granted.set_exception(self.refusal(reason))


class Turn:
    """The right of one request to do heavy work, until `end` is called."""

    def __init__(self, gate: Gate, units: int, caller: Caller, until: float) -> None:
        self._gate = gate
        self._units = units
        self._caller = caller
        self._until = until
        self._began = time.monotonic()
        self._is_over = False

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Calls `function` with `arguments` in a thread, and returns its result.

        Raises:
            OverloadedError: the request's time is over or its sender has left; nothing is called.
        """
        if reason := self._reason_to_stop():
            raise self._gate.refusal(reason)
        return await self._gate.threads.run(function, *arguments)

    async def run_slices(self, slices: Slices[Result]) -> Result:
        """Runs the generator `slices` to its end in a thread, and returns its result.

        Raises:
            OverloadedError: the request's time is over or its sender has left; no further slice
                runs.
        """
        try:
            return await self.run(self._run_all, slices)
        except _StoppedError as stopped:
            raise self._gate.refusal(stopped.reason) from None

    def _run_all(self, slices: Slices[Result]) -> Result:
        # All in one thread call: a switch of threads after each slice would cost more.
        while True:
            try:
                next(slices)
            except StopIteration as end:
                result: Result = end.value
                return result
            os.sched_yield()  # lets the event loop run if it waits for the interpreter or a core
            if reason := self._reason_to_stop():
                raise _StoppedError(reason)

    def charge(self, units: int) -> None:
        """Adds `units` to the cost of the request, as its parsed body shows."""
        self._units += units
        self._gate.charge(self._caller.key, units)

    def end(self) -> None:
        """Ends the turn; a second call does nothing."""
        if not self._is_over:
            self._is_over = True
            self._gate.leave(self._units, time.monotonic() - self._began)

    def _reason_to_stop(self) -> str | None:
        """Returns `left` or `deadline` if work on the request must stop; None if it may go on."""
        if self._caller.has_left():
            return "left"
        return "deadline" if time.monotonic() > self._until else None


class _StoppedError(Exception):
    """A request whose slices must stop; its thread raises this, the event loop counts a refusal."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
