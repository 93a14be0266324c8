"""A short form of `make chaos`: what holds on a machine of any speed."""

import math
import socket
import time
from pathlib import Path

import pytest

from proofs.chaos import latency_figures, prove
from proofs.chaos.plot import Row
from proofs.fixtures.load import visitors
from proofs.fixtures.load.visitors import Answer, Load
from proofs.fixtures.processes.fault_proxy import FaultProxy
from proofs.fixtures.processes.waiting import PATIENCE_SECONDS
from tests.conftest import TIMEOUT_SECONDS

TIMED = ("p99", "recovery", "/readyz")


@pytest.mark.parametrize("fault", ["kill -9", "OOM", "cluster primary killed"])
def test_a_fault_of_redis_costs_no_answer_and_no_acknowledged_event(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that stalls answers late; the whole proof counts an answer after 10 s as lost.
    monkeypatch.setattr(visitors, "_ANSWER_SECONDS", PATIENCE_SECONDS)
    figures = list(
        prove(rate=100, seconds=1.5, before=0.5, fault=[fault], plot=tmp_path / "chaos.png")
    )
    figure_of = {each.name.removeprefix(f"{fault}: "): each for each in figures}
    assert figure_of["acknowledged"].value > 0
    assert figure_of["/readyz degraded after"].value < math.inf
    untimed = [each for name, each in figure_of.items() if not any(map(name.__contains__, TIMED))]
    assert [each.name for each in untimed if not each.holds] == []
    assert (tmp_path / "chaos.png").stat().st_size > 0


def test_a_proxy_that_drops_syns_lets_nobody_connect_until_it_accepts_again() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        FaultProxy(server.getsockname()[1]) as proxy,
    ):
        proxy.drop_new_connections()
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3)
        assert time.monotonic() - began >= 0.3
        proxy.accept_new_connections()
        socket.create_connection(("127.0.0.1", proxy.port), timeout=TIMEOUT_SECONDS).close()


@pytest.mark.parametrize(("told_after", "holds"), [(0.4, True), (0.6, False), (math.inf, False)])
def test_readyz_must_tell_a_fault_within_half_a_second(told_after: float, holds: bool) -> None:
    answers = [Answer(due, 0.003, 200, is_degraded=False) for due in (0.0, 11.0)]
    load = Load(0, 300, answers=answers, readiness=[(10 + told_after, True)])
    row = Row("kill -9", load, began=10, ended=20, over=21)
    (told,) = (each for each in latency_figures(row) if "/readyz" in each.name)
    assert told.holds == holds
