"""The list at the end of a report: how it was made."""

from dataclasses import replace

from training.ladder.report.origin import FORMER_RULE, FORMER_SEARCH, former_runs
from training.ladder.runs.store import RunFacts

NEW = RunFacts(name="CE", seconds=1.0, machine="one", commits=("c0ffee",))
RULED = replace(NEW, former="rule")
SEARCHED = replace(NEW, former="search")


def test_a_report_tells_apart_what_older_versions_did_otherwise() -> None:
    assert list(former_runs([NEW])) == []
    assert list(former_runs([NEW, RULED, SEARCHED, SEARCHED])) == [
        ("runs of a former rule", f"1 of 4; {FORMER_RULE}"),
        ("runs of a former search", f"2 of 4; {FORMER_SEARCH}"),
    ]
