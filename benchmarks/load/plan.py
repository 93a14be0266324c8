"""What a load generator is told to do, and what it saw: the two ends of `generator.run`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
"""Seconds since the start of a run, one per request."""

NO_PREDECESSOR = -1


@dataclass(frozen=True)
class Plan:
    """Requests in the order of their intended times.

    Attributes:
        port: of a server on this machine.
        requests: whole HTTP/1.1 requests, as they go over the wire.
        predecessors: for each request the one of the same session before it, whose answer it
            awaits; -1 = none.
        due: ascending intended times: an *open* loop, whose users do not wait for the server.
            None: a *closed* loop, which sends as soon as a connection is free.
        connections: most requests that are on their way at once; further ones wait here, and
            their clock runs.
        seconds: a closed loop begins no request after it.
        warm_up_seconds: requests due before it are sent and not counted.
        grace_seconds: how long the last answers of an open loop are awaited.
        silence_seconds: a server that says nothing for so long is given up.
        proofs: what the body of every good answer holds.
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
    """What happened to the counted requests of a plan.

    Attributes:
        latencies: seconds from the *intended* time to the last byte, in order of intention. A
            request without an answer has waited until the run ended: a lower bound, and a failure.
        failures: how many of them by what went wrong: a status, `wrong answer`, `lost connection`,
            `no answer`.
        sent_late: seconds by which the generator itself was late, at the 99th percentile, of
            requests that had neither a predecessor nor a connection to wait for.
        seconds: from the first intended time to the last answer.
        cpu_seconds: of the generator, the warm-up included, for `num_sent` requests.
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
        """Requests without a good answer."""
        return sum(self.failures.values())

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (len(self.latencies) - self.num_failed) / self.seconds

    def percentile(self, share: float) -> float:
        """The latency in milliseconds that `share` per cent of the requests kept."""
        return float(np.percentile(self.latencies, share)) * 1000

    @property
    def client_cpu_us(self) -> float:
        """What a request costs the generator, in microseconds of CPU."""
        return self.cpu_seconds / self.num_sent * 1e6


def even(rate: float, seconds: float) -> Times:
    """Intended times at a constant `rate` a second."""
    return np.arange(round(rate * seconds)) / rate


def poisson(rate: float, seconds: float, generator: np.random.Generator) -> Times:
    """Intended times of independent users: as many as `even` has, at random."""
    return np.sort(generator.uniform(0, seconds, round(rate * seconds)))
