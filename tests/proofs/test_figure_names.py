"""A record has each figure that its proof, as it is today, writes under a name of its own."""

import json
from collections.abc import Collection, Mapping

import pytest

from proofs.__main__ import proof_names
from proofs.record import FOLDER
from tests.proofs.figure_names import code_of, is_like, names_in

AWAITED: Mapping[str, Collection[str]] = {
    "event_cost": (
        "collector: its start",
        "collector: request, without its start",
        "requests without a good answer",
        "whole: with over without",
    ),
    "large_catalog": ("answers degraded, or not the student's", "failed requests"),
    "live_items": ("items that the worker that was asked still showed",),
    "overload": (
        "*: goodput, of the sustainable rate: highest turn",
        "*: goodput, of the sustainable rate: lowest turn",
        "*: not sent, of light ones",
        "*: not sent, of the flood",
        "*: not sent, of the greedy one's: all connections wait",
        "*: not sent, of the greedy one's: the generator is late",
        "*: not sent, of the modest one's",
    ),
    "retraining": ("*: processor time", "first model: processor time"),
}
"""By proof, the names of figures that its record will have after the next run.

After that run, remove the proof here.
"""


@pytest.mark.parametrize("proof", proof_names())
def test_a_record_lacks_no_figure_of_its_proof_but_those_that_are_awaited(proof: str) -> None:
    figures = json.loads((FOLDER / f"{proof}.json").read_text(encoding="utf-8"))["figures"]
    recorded = [each["name"] for each in figures]
    names = {name for code in code_of(proof) for name in names_in(code)}
    lacking = {name for name in names if not any(is_like(name, each) for each in recorded)}
    assert lacking == set(AWAITED.get(proof, ()))


CODE = """
def prove(seconds, kinds):
    bodies = f"dearest of {len(kinds)}: "
    yield Figure("errors", "", 0)
    yield Figure(f"{bodies}memory", "MiB", 0)
    yield not_sent_figure(f"{seconds} s: not sent", [])
    bodies = "bodies"
    yield Figure(bodies, "", 0)
    for name in kinds:
        yield Figure(name, "", 0)
"""


def test_a_name_is_read_with_a_mark_for_each_part_that_is_computed() -> None:
    assert list(names_in(CODE)) == [
        "errors",
        "dearest of *: memory",
        "* s: not sent",
        "bodies",
    ]
    assert is_like("dearest of *: memory", "dearest of 12: memory")
    assert not is_like("dearest of *: memory", "memory")
