"""The report of a benchmark: figures with units and runs, saved as one JSON file."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from pydantic import BaseModel, ConfigDict, computed_field

from benchmarks.results.markdown import format_number, markdown_table
from training.provenance import commit, hardware
from training.stage import write_text

PACKAGES = ("fastapi", "hiredis", "onnxruntime", "redis", "uvicorn", "uvloop")


class Figure(BaseModel):
    """A measured number: the median of its runs, and the bar that it must keep, if there is one.

    Attributes:
        runs: one value for each repetition, in their order.
        at_most: the bar of a figure that should be small.
        at_least: the bar of a figure that should be large.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    unit: str
    runs: tuple[float, ...]
    at_most: float | None = None
    at_least: float | None = None

    @computed_field  # type: ignore[prop-decorator] # as pydantic documents it
    @property
    def value(self) -> float:
        """Median of the runs."""
        return statistics.median(self.runs)

    @property
    def holds(self) -> bool | None:
        """True if the median keeps the bar, None if there is no bar."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return None if self.at_least is None else self.value >= self.at_least

    @property
    def bar(self) -> str:
        """The bar as text, empty if there is none."""
        if self.at_most is not None:
            return f"≤ {format_number(self.at_most)}"
        return "" if self.at_least is None else f"≥ {format_number(self.at_least)}"

    @property
    def spread(self) -> str:
        """Smallest and largest run as text, empty for a single run."""
        if len(self.runs) == 1:
            return ""
        return f"{format_number(min(self.runs))}…{format_number(max(self.runs))}"


def sum_failures(failures: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    """Adds up the failures of several runs, by kind."""
    return dict(sum(map(Counter, failures), Counter[str]()))


class Findings(BaseModel):
    """The result of a benchmark's `measure`.

    Attributes:
        conditions: settings that the figures depend on: sizes, rates, workload, bundle.
        series: data of the plot, by name.
    """

    model_config = ConfigDict(frozen=True)

    figures: tuple[Figure, ...]
    conditions: Mapping[str, Any]
    series: Mapping[str, Any] = {}


class Report(Findings):
    """Findings with the command, commit, machine, date and versions that they come from."""

    name: str
    command: str
    is_quick: bool
    commit: str
    hardware: str
    date: datetime
    versions: Mapping[str, str]


def make_report(name: str, findings: Findings, *, is_quick: bool) -> Report:
    """Adds the current commit, machine, time and versions to `findings`."""
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
    """Writes `<name>.json` into `folder`."""
    text = report.model_dump_json(indent=2)
    write_text(folder / f"{report.name}.json", f"{text}\n")


def load_report(path: Path) -> Report:
    """Reads a file of `save_report`.

    Raises:
        pydantic.ValidationError: the file is not a report.
    """
    return Report.model_validate_json(path.read_text(encoding="utf-8"))


def summary_table(reports: Iterable[Report]) -> str:
    """Returns a Markdown table with one row for each figure."""
    rows = [
        (
            report.name,
            each.name,
            f"{format_number(each.value)} {each.unit}",
            each.spread,
            each.bar,
            _verdict(each),
        )
        for report in reports
        for each in report.figures
    ]
    return markdown_table(("benchmark", "figure", "median", "runs", "bar", "holds"), rows)


def _verdict(figure: Figure) -> str:
    return {None: "", True: "yes", False: "**no**"}[figure.holds]
