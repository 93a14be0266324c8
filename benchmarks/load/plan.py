"""Input and output of the load generator: the plan of a run, and its outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
"""Seconds since the start of a run, one per request."""

NO_PREDECESSOR = -1


@dataclass(frozen=True)
class Plan:
    """The requests of a run, in the order of their intended times.

    Attributes:
        port: port of a server on this machine.
        requests: bytes of whole HTTP/1.1 requests.
        predecessors: for each request the number of the one before it in its session, or -1. A
            request is sent only after its predecessor was answered.
        due: ascending intended times of an *open* loop, whose users do not wait for the server.
            None makes a *closed* loop, which sends as soon as a connection is free.
        connections: maximum number of requests under way. Further ones wait in the generator,
            and the wait counts as latency.
        seconds: duration after which a closed loop starts no request.
        warm_up_seconds: requests due before this time are sent and not counted.
        grace_seconds: how long to wait for the last answers of an open loop.
        silence_seconds: how long the server may answer nothing before the run is aborted.
        proofs: parts of the body that every good answer contains.
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
    """The result of a run, without its warm-up.

    Attributes:
        latencies: seconds from the *intended* time to the last byte, in the order of `due`. A
            request without an answer counts until the end of the run, and as a failure.
        failures: number of failed requests by kind: an HTTP status, `wrong answer`,
            `lost connection`, `no answer`.
        sent_late: seconds by which the generator itself was late, as 99th percentile over the
            requests that waited for neither a predecessor nor a connection.
        seconds: time from the first intended time to the last answer.
        cpu_seconds: CPU time of the generator for `num_sent` requests, warm-up included.
        num_sent: number of requests sent, warm-up included.
        due: intended times of the counted requests.
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
        """Good answers per second."""
        return (len(self.latencies) - self.num_failed) / self.seconds

    def percentile(self, share: float) -> float:
        """Latency in milliseconds, at the percentile `share` (0 to 100)."""
        return float(np.percentile(self.latencies, share)) * 1000

    @property
    def client_cpu_us(self) -> float:
        """Microseconds of CPU that the generator takes for one request."""
        return self.cpu_seconds / self.num_sent * 1e6


def even(rate: float, seconds: float) -> Times:
    """Returns evenly spaced times, `rate` per second."""
    return np.arange(round(rate * seconds)) / rate


def poisson(rate: float, seconds: float, generator: np.random.Generator) -> Times:
    """Returns random times of independent users, as many as `even` returns."""
    return np.sort(generator.uniform(0, seconds, round(rate * seconds)))
