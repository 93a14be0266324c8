"""Figures that documents quote from records of proofs are those of the records."""

import json
import re
from pathlib import Path

import pytest

from proofs.imports import MODELS

ROOT = Path(__file__).parents[2]
GOODPUT = "5x batch: goodput, of the sustainable rate"
MODEST = "two-keys: p99 of the modest one"
KILLED_PRIMARY = "cluster primary killed: p99 in the fault"
HOSTILE_BODY = "dearest of 12 bodies that cannot be used: answered in"
REPLACED = "longest time until another worker ran in the place of a stopped one"
ENDED = "longest time until the workers of a killed supervisor had ended"
# Document, words before and after the figure as a pattern, record, and the figure's name.
QUOTED = [
    ("reliability.md", r"(1\.3) µs of CPU without keys", "access", "without keys"),
    ("reliability.md", r"without keys, ([\d.]+) with one", "access", "with a key"),
    ("reliability.md", r"with one, ([\d.]+) with limits", "access", "with a key that has limits"),
    ("operations.md", r"request's CPU time: ([\d.]+) µs with a key", "access", "with a key"),
    ("operations.md", r"of about (\d+) µs for", "event_cost", "request without event log"),
    ("reliability.md", r"of about (\d+) for a whole", "event_cost", "request without event log"),
    ("reliability.md", r"(1\.09) times \[1", "event_cost", "with over without"),
    ("reliability.md", r"1\.06, (1\.12)\]", "event_cost", "with over without, upper end"),
    (
        "reliability.md",
        r"goodput (\d+), ",
        "overload",
        "5x batch: goodput, of the sustainable rate",
    ),
    (
        "reliability.md",
        r"went from [\d.]+ to ([\d.]+) ms",
        "overload",
        "two-keys: p99 of the modest one",
    ),
    ("reliability.md", r"0 others in ([\d,]+) answers", "conformance", "answers"),
    ("reliability.md", r"0 of ([\d,]+) differ, 0 of", "rules", "recommendations: compared"),
    ("reliability.md", r"0 of ([\d,]+) of similar", "rules", "similar items: compared"),
    ("reliability.md", r"0 of ([\d,]+) of popular", "rules", "popular items: compared"),
    ("reliability.md", r"memory grew by ([\d.]+) MiB", "soak", "memory: growth"),
    ("reliability.md", r"; p99 (\d+) to \d+ ms", "chaos", KILLED_PRIMARY),
    ("reliability.md", r"; p99 \d+ to (\d+) ms", "chaos", "20 kB/s: p99 in the fault"),
    ("reliability.md", r"p99 from [\d.]+ to ([\d.]+) ms, at", "hostile", "p99 meanwhile"),
    ("reliability.md", r"the dearest: ([\d.]+) ms", "hostile", HOSTILE_BODY),
    ("reliability.md", r"20 stopped workers: ([\d.]+) s", "supervision", REPLACED),
    ("reliability.md", r"DRAIN_SECONDS` of 1 s: ([\d.]+) s", "supervision", ENDED),
    ("reliability.md", r"titles and ([\d,]+) tokens", "retraining", "365 days: tokens read"),
    ("reliability.md", r"after 3,283 and ([\d,]+)", "retraining", "first model: tokens read"),
    ("learning.md", r"3,283 with ([\d,]+)", "retraining", "first model: tokens read"),
    *(
        (
            "how-to/own-model.md",
            rf"\| {model} \|(?:[^|\n]+\|){{{column}}} ([\d.]+) ",
            "imports",
            f"{model}: {figure}",
        )
        for model in MODELS
        for column, figure in enumerate(
            (
                "top 20 differs but for ties",
                "the library, one user, median",
                "the library, one user, p95",
                "REST, median",
                "REST, p95",
            )
        )
    ),
]


@pytest.mark.parametrize(("document", "pattern", "record", "name"), QUOTED)
def test_a_quoted_figure_is_that_of_its_record_rounded(
    document: str, pattern: str, record: str, name: str
) -> None:
    text = (ROOT / "docs" / document).read_text("utf-8")
    quoted = re.findall(pattern, text)
    assert len(quoted) == 1, f"{pattern}: {len(quoted)} places"
    figures = json.loads((ROOT / "docs" / "proofs" / f"{record}.json").read_text("utf-8"))[
        "figures"
    ]
    (value,) = (each["value"] for each in figures if each["name"] == name)
    if "goodput" in name:
        value *= 100
    digits = len(quoted[0].partition(".")[2])
    assert f"{value:,.{digits}f}" == quoted[0]
