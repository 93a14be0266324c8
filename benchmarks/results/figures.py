"""What a benchmark leaves: figures with units and runs, in one JSON file; one table of all."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from pydantic import BaseModel, ConfigDict, computed_field

from training.provenance import commit, hardware
from training.stage import write_text

PACKAGES = ("fastapi", "hiredis", "onnxruntime", "redis", "uvicorn", "uvloop")


class Figure(BaseModel):
    """A measured number: the median of its runs, beside the bar that it is held to, if any."""

    model_config = ConfigDict(frozen=True)

    name: str
    unit: str
    runs: tuple[float, ...]
    at_most: float | None = None
    at_least: float | None = None

    @computed_field  # type: ignore[prop-decorator] # as pydantic documents it
    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.runs)

    @property
    def holds(self) -> bool | None:
        """Whether the median keeps to its bar; None without one."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return None if self.at_least is None else self.value >= self.at_least

    @property
    def bar(self) -> str:
        """The bar, for people."""
        if self.at_most is not None:
            return f"≤ {shown(self.at_most)}"
        return "" if self.at_least is None else f"≥ {shown(self.at_least)}"

    @property
    def spread(self) -> str:
        """Smallest and largest run, for people."""
        if len(self.runs) == 1:
            return ""
        return f"{shown(min(self.runs))}…{shown(max(self.runs))}"


def kinds_of_failure(failures: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    """All failures of some runs, by what went wrong."""
    return dict(sum(map(Counter, failures), Counter[str]()))


class Findings(BaseModel):
    """What a benchmark returns.

    Attributes:
        conditions: what the figures depend on: sizes, rates, workload, origin of the bundle.
        series: curves for the plot, by name.
    """

    model_config = ConfigDict(frozen=True)

    figures: tuple[Figure, ...]
    conditions: Mapping[str, Any]
    series: Mapping[str, Any] = {}


class Report(Findings):
    """Findings and where they come from."""

    name: str
    command: str
    is_quick: bool
    commit: str
    hardware: str
    date: datetime
    versions: Mapping[str, str]


def stamped(name: str, findings: Findings, *, is_quick: bool) -> Report:
    """`findings` with commit, machine, moment and versions."""
    return Report(
        **dict(findings),
        name=name,
        command=f"python -m benchmarks {name}{' --quick' if is_quick else ''}",
        is_quick=is_quick,
        commit=commit(),
        hardware=hardware(),
        date=datetime.now(UTC).replace(microsecond=0),
        versions={"python": python_version()} | {each: version(each) for each in PACKAGES},
    )


def save_report(report: Report, folder: Path) -> None:
    """Writes `<name>.json`."""
    text = report.model_dump_json(indent=2)
    write_text(folder / f"{report.name}.json", f"{text}\n")


def load_report(path: Path) -> Report:
    """Reads what `save_report` wrote."""
    return Report.model_validate_json(path.read_text(encoding="utf-8"))


def table(reports: Iterable[Report]) -> str:
    """All figures as a Markdown table."""
    rows = [
        (
            report.name,
            each.name,
            f"{shown(each.value)} {each.unit}",
            each.spread,
            each.bar,
            _verdict(each),
        )
        for report in reports
        for each in report.figures
    ]
    return markdown(("benchmark", "figure", "median", "runs", "bar", "holds"), rows)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; numbers stand right where they follow a text."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(value: float) -> str:
    """Three digits that count, thousands apart."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{2 if abs(value) < 10 else 1}f}" if abs(value) >= 0.1 else f"{value:.2g}"


def _verdict(figure: Figure) -> str:
    return {None: "", True: "yes", False: "**no**"}[figure.holds]
