"""Makes the report of a benchmark: figures with units and runs, saved as one JSON file."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from pydantic import BaseModel, ConfigDict, computed_field

from benchmarks.options import Options
from benchmarks.results.markdown import format_number, markdown_table
from training.provenance import commit, hardware
from training.stage import write_text

PACKAGES = ("fastapi", "hiredis", "onnxruntime", "redis", "uvicorn", "uvloop")


class Figure(BaseModel):
    """A measured number: the median of its runs, with the target that it must meet, if any.

    Attributes:
        name: name of the figure in the report.
        unit: unit of all values; empty for a count or a share.
        runs: one value per repetition, in order.
        at_most: largest median that meets the target; None if there is no such target.
        at_least: smallest median that meets the target; None if there is no such target.
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
        """Whether the median meets the target; None if there is no target."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return None if self.at_least is None else self.value >= self.at_least

    @property
    def target(self) -> str:
        """The target as text, such as "≤ 7"; empty if there is none."""
        if self.at_most is not None:
            return f"≤ {format_number(self.at_most)}"
        return "" if self.at_least is None else f"≥ {format_number(self.at_least)}"

    @property
    def spread(self) -> str:
        """Smallest and largest run as text, such as "6.1…7.4"; empty for a single run."""
        if len(self.runs) == 1:
            return ""
        return f"{format_number(min(self.runs))}…{format_number(max(self.runs))}"


def sum_failures(failures: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    """Adds up the numbers of failed requests of several runs, for each kind of failure."""
    return dict(sum(map(Counter, failures), Counter[str]()))


class Findings(BaseModel):
    """The result of a benchmark's `measure`.

    Attributes:
        figures: the measured numbers.
        conditions: settings that the figures depend on, such as sizes, rates, workload and bundle.
        series: data of the plot, by name; empty if the plot needs only the figures.
    """

    model_config = ConfigDict(frozen=True)

    figures: tuple[Figure, ...]
    conditions: Mapping[str, Any]
    series: Mapping[str, Any] = {}


class Report(Findings):
    """The findings of a benchmark, with command, commit, machine, date and versions of packages."""

    name: str
    command: str
    is_quick: bool
    commit: str
    hardware: str
    date: datetime
    versions: Mapping[str, str]


def make_report(name: str, findings: Findings, options: Options) -> Report:
    """Makes a report of `findings` by adding the current commit, machine, time and versions."""
    return Report(
        **dict(findings),
        name=name,
        command=f"python -m benchmarks {name}{options.given}",
        is_quick=options.is_quick,
        commit=commit(),
        hardware=hardware(),
        date=datetime.now(UTC).replace(microsecond=0),
        versions={"python": python_version()} | {each: version(each) for each in PACKAGES},
    )


def save_report(report: Report, folder: Path) -> None:
    """Writes `report` to `folder`, as `<name>.json`."""
    text = report.model_dump_json(indent=2)
    write_text(folder / f"{report.name}.json", f"{text}\n")


def load_report(path: Path) -> Report:
    """Reads a report that `save_report` wrote.

    Raises:
        pydantic.ValidationError: the file is not a report.
    """
    return Report.model_validate_json(path.read_text(encoding="utf-8"))


def summary_table(reports: Iterable[Report]) -> str:
    """Returns a Markdown table with one row for each figure of `reports`."""
    rows = [
        (
            report.name,
            each.name,
            f"{format_number(each.value)} {each.unit}",
            each.spread,
            each.target,
            _verdict(each),
        )
        for report in reports
        for each in report.figures
    ]
    return markdown_table(("benchmark", "figure", "median", "runs", "target", "holds"), rows)


def _verdict(figure: Figure) -> str:
    return {None: "", True: "yes", False: "**no**"}[figure.holds]
