"""The growth of memory is told in bytes per request, so that a slow leak is seen."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.measures import memory
from benchmarks.measures.memory import growth_of_last_half
from benchmarks.options import Options
from benchmarks.results.figures import Figure

MIB = 2**20


def test_growth_is_the_slope_of_the_last_half_alone() -> None:
    requests = [100, 200, 300, 400, 500, 600]
    resident = [each / MIB for each in (0, 90_000, 50_000, 50_300, 50_600, 50_900)]
    growth, error = growth_of_last_half(requests, resident)
    assert growth == pytest.approx(3)
    assert error == pytest.approx(0, abs=1e-6)


def test_samples_beside_the_line_have_the_standard_error_of_a_least_squares_fit() -> None:
    requests = [1, 2, 3, 4, 5, 6]
    resident = [each / MIB for each in (9, 9, 9, 1, 3, 3)]
    growth, error = growth_of_last_half(requests, resident)
    assert growth == pytest.approx(1)
    # Fitted 4/3, 7/3, 10/3; squares of the residuals 6/9, over 1 degree of freedom and 2.
    assert error == pytest.approx((1 / 3) ** 0.5)


@pytest.mark.parametrize(("leak", "holds"), [(8, False), (0, True)])
def test_a_leak_of_eight_bytes_a_request_misses_the_bar(
    leak: int, monkeypatch: pytest.MonkeyPatch, *, holds: bool
) -> None:
    growth = figures_of(lambda num_answered: 200 + leak * num_answered / MIB, monkeypatch)[0]
    assert growth.name == "growth over the last half"
    assert growth.value == pytest.approx(leak)
    assert growth.holds is holds


def figures_of(
    resident_mib: Callable[[int], float], monkeypatch: pytest.MonkeyPatch
) -> tuple[Figure, ...]:
    """Returns the figures of a service with that memory after a number of answers."""
    answered: list[object] = []

    @contextmanager
    def service(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(port=0, resident_mib=lambda: resident_mib(len(answered)))

    def run(plan: list[object]) -> SimpleNamespace:
        answered.extend(plan)
        return SimpleNamespace(failures={}, rate=1.0)

    subject = SimpleNamespace(item_ids=(), bundle=Path(), origin="a test")
    monkeypatch.setattr(memory, "NUM_REQUESTS", 2_000)
    monkeypatch.setattr(memory, "make_subject", lambda _: subject)
    monkeypatch.setattr(memory, "running_redis", service)
    monkeypatch.setattr(memory, "running_service", service)
    monkeypatch.setattr(memory, "visitors", lambda _, count, __: [None] * count)
    monkeypatch.setattr(memory, "closed_loop", lambda clicks, *_, **__: clicks)
    monkeypatch.setattr(memory, "run_in_process", run)
    options = Options(Path("work"), is_quick=False, peers_python=Path("python"), core_hour=0.04)
    return memory.measure(options).figures
