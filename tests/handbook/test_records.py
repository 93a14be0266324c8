"""Figures that documents quote from records of proofs are those of the records."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from proofs.imports import MODELS

ROOT = Path(__file__).parents[2]
HOSTILE_BODY = "dearest of 12 bodies that cannot be used: answered in"
REQUEST = "service: request without event log"
PUBLICATIONS = "bundles followed by both replicas"
SLOWEST_PUBLICATION = "from publish to both replicas, slowest"
REPLACED = "longest time until another worker ran in the place of a stopped one"
ENDED = "longest time until the workers of a killed supervisor had ended"
# Document, words before and after the figure as a pattern, record, and the figure's name.
QUOTED = [
    ("reliability.md", r"(1\.3) µs of CPU without keys", "access", "without keys"),
    ("reliability.md", r"without keys, ([\d.]+) with one", "access", "with a key"),
    ("reliability.md", r"with one, ([\d.]+) with limits", "access", "with a key that has limits"),
    ("operations.md", r"request's CPU time: ([\d.]+) µs with a key", "access", "with a key"),
    ("operations.md", r"of about (\d+) µs for", "event_cost", REQUEST),
    ("reliability.md", r"of about (\d+) for a whole", "event_cost", REQUEST),
    ("reliability.md", r"(1\.09) times \[1", "event_cost", "service: with over without"),
    ("reliability.md", r"1\.06, (1\.12)\]", "event_cost", "service: with over without, upper end"),
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
    ("reliability.md", r"promotion on: ([\d.]+) s", "chaos", "cluster primary killed: recovery"),
    ("reliability.md", r"p99 from [\d.]+ to ([\d.]+) ms, at", "hostile", "p99 meanwhile"),
    ("reliability.md", r"the dearest: ([\d.]+) ms", "hostile", HOSTILE_BODY),
    ("reliability.md", r"of headers at most ([\d.]+) MiB", "hostile", "300 MB of headers: sent"),
    ("reliability.md", r"sent, of URL ([\d.]+),", "hostile", "300 MB of URL: sent"),
    *(
        ("reliability.md", pattern, "hostile", f"1000 {kind} connections: longest")
        for kind, pattern in (
            ("silent", r"ended after ([\d.]+),"),
            ("slow header", r"ended after [\d.]+, ([\d.]+) and"),
            ("slow body", r"ended after [\d.]+, [\d.]+ and ([\d.]+) s"),
        )
    ),
    ("reliability.md", r"during (20) publications", "replicas", PUBLICATIONS),
    ("reliability.md", r"both serve a bundle ([\d.]+) s", "replicas", SLOWEST_PUBLICATION),
    ("reliability.md", r"in process took ([\d.]+) s", "bundles", "in process: slowest"),
    ("reliability.md", r"crafted ones ([\d.]+) s", "bundles", "crafted: slowest"),
    ("reliability.md", r"the child ([\d.]+) s", "bundles", "through the child: slowest"),
    *(
        (
            "reliability.md",
            rf"([\d.]+) times {where}",
            "cluster",
            f"cluster to one Redis, {arrival}",
        )
        for where, arrival in (
            ("one after another", "1 at once"),
            ("of 300 a second", "300 a second"),
            ("of 2,000 a second", "2000 a second"),
            ("of 32 at once", "32 at once"),
        )
    ),
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

# Words before and after figures, record, part of the names of its figures, and which of these.
OF_SEVERAL: list[tuple[str, str, str, Sequence[Callable[[Iterable[float]], float]]]] = [
    (r"; p99 (\d+) to (\d+) ms", "chaos", ": p99 in the fault", (min, max)),
    (r"`/readyz` told within ([\d.]+) s", "chaos", ": /readyz degraded after", (max,)),
    (r"at most ([\d.]+) times that on three", "cluster", "cluster to three Redis, ", (max,)),
]


@pytest.mark.parametrize(("document", "pattern", "record", "name"), QUOTED)
def test_a_quoted_figure_is_that_of_its_record_rounded(
    document: str, pattern: str, record: str, name: str
) -> None:
    (quoted,) = quoted_in(document, pattern)
    (value,) = (value for each, value in figures_of(record) if each == name)
    assert rounded_as(quoted, 100 * value if "goodput" in name else value) == quoted


@pytest.mark.parametrize(("pattern", "record", "part", "which"), OF_SEVERAL)
def test_the_least_and_most_that_are_quoted_are_those_of_all_figures_of_the_kind(
    pattern: str, record: str, part: str, which: Sequence[Callable[[Iterable[float]], float]]
) -> None:
    figures = [each for each in figures_of(record) if "quartile" not in each[0]]
    values = [value for name, value in figures if part in name]
    quoted = quoted_in("reliability.md", pattern)
    for text, choose in zip(quoted, which, strict=True):
        assert rounded_as(text, choose(values)) == text


def quoted_in(document: str, pattern: str) -> Sequence[str]:
    """Returns the groups of a pattern that a document has once."""
    (found,) = re.finditer(pattern, (ROOT / "docs" / document).read_text("utf-8"))
    return found.groups()


def figures_of(record: str) -> list[tuple[str, float]]:
    content = json.loads((ROOT / "docs" / "proofs" / f"{record}.json").read_text("utf-8"))
    return [(each["name"], each["value"]) for each in content["figures"]]


def rounded_as(quoted: str, value: float) -> str:
    return f"{value:,.{len(quoted.partition('.')[2])}f}"
