"""A short form of `python -m proofs overload`: what holds on a machine of any speed."""

from proofs.overload import prove

TIMED = ("p99", "goodput", "memory")


def test_too_many_requests_are_answered_or_refused_and_none_is_lost() -> None:
    figures = list(prove(seconds=2, normal_seconds=0.5, kind=["batch"]))
    untimed = [each for each in figures if not any(word in each.name for word in TIMED)]
    assert [each.name for each in untimed if not each.holds] == []
    refused = {each.name: each.value for each in figures if each.name.endswith(": refused")}
    assert sum(refused.values()) > 0
