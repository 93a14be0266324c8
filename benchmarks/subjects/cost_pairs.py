"""Compares the CPU time of a request in two checkouts of the service, which take turns.

Both have one API key, and every request carries it. A release that knows no keys ignores it.

Other programs on the machine disturb both measurements of a pair alike. So the ratios of the pairs
vary less than the times.

Every pair starts both services anew. Two processes of the same code differ in speed for as long as
they live, by where their memory lies and by the order of their hashes: pairs of the same processes
would share that difference, and an interval over them would be too short.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.load.turns import take_turns
from benchmarks.load.workloads import with_key
from benchmarks.options import ROOT
from benchmarks.subjects.loaded_service import WARM_UP_SECONDS, LoadedService
from benchmarks.subjects.processes import running_redis, running_service
from benchmarks.subjects.subject import Subject
from service.access.key_commands import NewKey, create_key
from service.access.principal import Scope

NUM_PAIRS = 15


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
    """Measures both checkouts saturated, in `NUM_PAIRS` pairs of newly started services.

    Args:
        subject: the bundle that both serve; both must be able to read it.
        other_root: root folder of the other checkout.
        seconds: duration of each of the two measurements of a pair.

    Raises:
        BenchmarkError: a service does not start.
    """
    with TemporaryDirectory() as folder, running_redis() as redis:
        keys = Path(folder) / "keys.json"
        endpoint = with_key(create_key(keys, NewKey(frozenset({Scope.READ, Scope.WRITE}))))

        def cost(root: Path) -> float:
            with running_service(subject.bundle, redis, root, KEYS_FILE=str(keys)) as service:
                return _cost(LoadedService(subject, service, redis, endpoint), seconds)

        ways = {"ours": partial(cost, ROOT), "others": partial(cost, other_root)}
        return CostPairs(**take_turns(ways, NUM_PAIRS))


def _cost(service: LoadedService, seconds: float) -> float:
    service.reset_histories()
    service.run_saturated(WARM_UP_SECONDS)
    return service.run_saturated(seconds).cost()
