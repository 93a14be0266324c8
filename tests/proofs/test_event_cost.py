"""A short form of `python -m proofs event_cost`; the time itself is not tested."""

from proofs.event_cost import prove


def test_a_request_is_measured_with_and_without_the_event_log() -> None:
    figures = list(prove(starts=1, turns=1, seconds=0.2, steady_seconds=0.5))
    units = ["µs CPU", "µs CPU", "times", "times", "ms", "records", "records/s"]
    assert [each.unit for each in figures] == units
    assert all(each.value > 0 for each in figures)
