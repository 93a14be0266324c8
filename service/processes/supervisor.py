"""Starts several workers on one socket, and replaces those that end or hang."""

import logging
import signal
import time
from types import FrameType

import uvicorn

from service.processes.supervised import Worker

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.1
_RETRY_SECONDS = 1.0
"""Minimum time between two starts of a worker that fails to start."""

_KILL_SECONDS = 1.75
"""Seconds after DRAIN_SECONDS at which a worker that still runs is killed."""


class Supervisor:
    """The parent process of several workers; it serves no requests itself."""

    def __init__(self, config: uvicorn.Config, drain_seconds: float, start_seconds: float) -> None:
        self._config = config
        self._drain_seconds = drain_seconds
        self._start_seconds = start_seconds
        self._num_signals = 0

    def run(self) -> bool:
        """Runs the workers until SIGTERM or SIGINT; returns False if they cannot start."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._count)
        self._sockets = [self._config.bind_socket()]
        self._workers = [self._new_worker() for _ in range(self._config.workers)]
        self._ticked_at = time.monotonic()
        is_started = True
        while is_started and not self._num_signals:
            time.sleep(_TICK_SECONDS)
            is_started = self._watch()
        self._end()
        return is_started

    def _count(self, _: int, __: FrameType | None) -> None:
        self._num_signals += 1

    def _new_worker(self) -> Worker:
        return Worker(self._config, self._sockets)

    def _watch(self) -> bool:
        """Replaces each worker that has ended or hangs; returns False if workers cannot start."""
        self._forgive_own_pause()
        for place, worker in enumerate(self._workers):
            is_alive, is_hung = worker.is_alive, worker.is_hung(self._start_seconds)
            if is_alive and not is_hung:
                continue
            if not is_alive and not worker.is_started:
                if self._has_failed(worker):
                    logger.error("%s cannot start: the service ends", worker.name)
                    return False
                if worker.age < _RETRY_SECONDS:
                    continue
            worker.kill()
            self._workers[place] = self._new_worker()
            reason = f"ended with {worker.exit_code}" if not is_alive else "hung and was killed"
            logger.error("%s %s: %s replaces it", worker.name, reason, self._workers[place].name)
        return True

    def _has_failed(self, worker: Worker) -> bool:
        """Returns whether `worker` ended with an error while no worker serves."""
        is_served = any(each.is_alive and each.is_started for each in self._workers)
        return not is_served and (worker.exit_code or 0) > 0

    def _forgive_own_pause(self) -> None:
        """Extends the workers' time limits if the supervisor was paused, for example by SIGSTOP."""
        now = time.monotonic()
        pause = now - self._ticked_at - _TICK_SECONDS
        if pause > 1:
            for each in self._workers:
                each.forgive(pause)
        self._ticked_at = now

    def _end(self) -> None:
        """Sends SIGTERM to all workers; kills those that run `_KILL_SECONDS` after DRAIN_SECONDS.

        Each further signal to the supervisor sends SIGTERM again.
        """
        for listener in self._sockets:
            listener.close()  # the kernel then refuses new connections once no worker listens
        deadline = time.monotonic() + self._drain_seconds + _KILL_SECONDS
        num_passed_on = -1
        while self._is_any_alive() and time.monotonic() < deadline:
            if num_passed_on < self._num_signals:
                num_passed_on = self._num_signals
                self._terminate_all()
            time.sleep(_TICK_SECONDS / 2)
        for each in self._workers:
            if each.is_alive:
                logger.error("%s did not end in time and is killed", each.name)
            each.kill()

    def _is_any_alive(self) -> bool:
        return any(each.is_alive for each in self._workers)

    def _terminate_all(self) -> None:
        for each in self._workers:
            each.terminate()
