"""A short form of `python -m proofs supervision`: what holds on a machine of any speed."""

import math

from proofs.supervision import prove


def test_a_stopped_worker_is_replaced_and_workers_end_when_their_supervisor_was_killed() -> None:
    figures = list(prove(hangs=1, kills=1))
    assert [each.value for each in figures if each.unit == ""] == [1, 1]
    assert all(0 < each.value < math.inf for each in figures if each.unit == "s")
