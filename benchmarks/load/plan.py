"""Defines the input and output of the load generator: the plan of a run, and its outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
"""Times of requests, `[requests]`, in seconds since the start of a run."""

NO_PREDECESSOR = -1  # predecessor of the first request of a session


@dataclass(frozen=True)
class Plan:
    """The requests of a run, in the order of their intended times.

    Attributes:
        port: port of a server on this machine.
        requests: bytes of complete HTTP/1.1 requests.
        predecessors: for each request, the index of the previous request of its session, or -1. A
            request is sent only after its predecessor was answered.
        due: ascending intended times of an *open* loop, whose users do not wait for the server.
            None makes a *closed* loop, which sends as soon as a connection is free.
        connections: maximum number of unanswered requests. Further requests wait in the
            generator, and the wait counts as latency.
        seconds: duration after which a closed loop sends no more requests.
        warm_up_seconds: requests that are due before this time are sent, but not counted.
        grace_seconds: maximum time to wait for the last answers of an open loop.
        silence_seconds: time without any answer after which the run is aborted.
        proofs: byte strings that the body of every good answer contains.
    """

    port: int
    requests: Sequence[bytes]
    predecessors: Sequence[int]
    due: Times | None
    connections: int = 64
    seconds: float = float("inf")
    warm_up_seconds: float = 0.0
    grace_seconds: float = 5.0
    silence_seconds: float = 120.0
    proofs: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The result of a run. Where nothing else is said, the warm-up does not count.

    Attributes:
        latencies: `[requests]`, seconds from the *intended* time to the last byte. For a request
            without an answer it is the time to the end of the run.
        failures: number of failed requests by kind: an HTTP status, `wrong answer`, `lost
            connection` or `no answer`.
        sent_late: delay of the generator itself, in seconds: the 99th percentile over requests that
            waited for neither a predecessor nor a connection.
        seconds: time from the first intended time to the last answer.
        cpu_seconds: CPU time of the generator, warm-up included.
        num_sent: number of requests sent, warm-up included.
        due: `[requests]`, intended times of the counted requests.
    """

    latencies: Times
    failures: Mapping[str, int]
    sent_late: float
    seconds: float
    cpu_seconds: float
    num_sent: int
    due: Times = field(repr=False)

    @property
    def num_failed(self) -> int:
        """Number of requests without a good answer."""
        return sum(self.failures.values())

    @property
    def rate(self) -> float:
        """Number of good answers per second."""
        return (len(self.latencies) - self.num_failed) / self.seconds

    def percentile(self, share: float) -> float:
        """Returns the percentile `share` (0 to 100) of the latencies, in milliseconds."""
        return float(np.percentile(self.latencies, share)) * 1000

    @property
    def client_cpu_us(self) -> float:
        """CPU time of the load generator per request, in microseconds."""
        return self.cpu_seconds / self.num_sent * 1e6


def even(rate: float, seconds: float) -> Times:
    """Returns evenly spaced times, `rate` per second, from 0 to `seconds`."""
    return np.arange(round(rate * seconds)) / rate


def poisson(rate: float, seconds: float, generator: np.random.Generator) -> Times:
    """Returns `rate * seconds` random times up to `seconds`, ascending, as of independent users."""
    return np.sort(generator.uniform(0, seconds, round(rate * seconds)))
