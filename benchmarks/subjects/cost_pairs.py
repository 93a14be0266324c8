"""Compares the CPU time of a request in two checkouts of the service, which take turns.

Both have one API key, and every request carries it. A release that knows no keys ignores it.

Other programs on the machine disturb both measurements of a pair alike. So the ratios of the pairs
vary less than the times.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.load.turns import take_turns
from benchmarks.load.workloads import with_key
from benchmarks.subjects.loaded_service import LoadedService
from benchmarks.subjects.processes import running_redis, running_service
from benchmarks.subjects.subject import Subject
from service.access.key_commands import NewKey, create_key
from service.access.principal import Scope

NUM_PAIRS = 15
_NUM_DRAWS = 10_000
_ENDS = (2.5, 97.5)  # percentiles: the middle 95 %


@dataclass(frozen=True)
class CostPairs:
    """CPU times of a request in µs: of this checkout and of another one, in pairs."""

    ours: Sequence[float]
    others: Sequence[float]

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratio of each pair, this checkout over the other one."""
        return tuple(mine / other for mine, other in zip(self.ours, self.others, strict=True))


def measure_pairs(subject: Subject, other_root: Path, seconds: float) -> CostPairs:
    """Measures both checkouts saturated, in `NUM_PAIRS` pairs of `seconds` each.

    Args:
        subject: the bundle that both serve; both must be able to read it.
        other_root: root folder of the other checkout.
        seconds: duration of each of the two measurements of a pair.

    Raises:
        BenchmarkError: a service does not start.
    """
    with TemporaryDirectory() as folder:
        keys = Path(folder) / "keys.json"
        endpoint = with_key(create_key(keys, NewKey(frozenset({Scope.READ, Scope.WRITE}))))
        with (
            running_redis() as redis,
            running_service(subject.bundle, redis, KEYS_FILE=str(keys)) as ours,
            running_service(subject.bundle, redis, other_root, KEYS_FILE=str(keys)) as other,
        ):
            ways = {
                name: _cost(LoadedService(subject, service, redis, endpoint), seconds)
                for name, service in (("ours", ours), ("others", other))
            }
            return CostPairs(**take_turns(ways, NUM_PAIRS))


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % confidence interval of the median of `values`, by bootstrap."""
    draws = np.random.default_rng(0).choice(values, (_NUM_DRAWS, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), _ENDS)
    return float(low), float(high)


def _cost(service: LoadedService, seconds: float) -> Callable[[], float]:
    def measure() -> float:
        service.reset_histories()
        return service.run_saturated(seconds).cost()

    return measure
