"""Live figures, as JSON: counts of shown lists, of the clicks that followed, and of signs of drift.

A program counts them in the event log and writes a file. The service reads the file and returns the
figures with intervals. This module imports the standard library only.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from export.contract.reading import read_file
from export.contract.records import (
    COUNT,
    NAME,
    BundleError,
    Check,
    Checks,
    build,
    list_of,
    optional,
    parse_object,
    whole_number,
)

SCHEMA = 2
MAX_PLACES = 20
"""Number of places in a list with a click count of their own; the last also counts later places."""
MAX_FILE_BYTES = 16 << 20
MAX_FIGURES = 1_000
"""Maximum number of figures in a report; the service compares the variants of all of them."""
_MAX_SUM = 1e100  # far above the sums of real values, and its square is still a float


@dataclass(frozen=True)
class LiveFigures:
    """Counts of the impressions of one variant, model version and source.

    Attributes:
        variant: name of the variant.
        model_version: version of the variant's bundle.
        source: name of the ranker that made the lists.
        impressions: number of lists that were shown.
        clicked: number of lists with an event of a type that counts as a click.
        converted: number of lists with an event of a type that counts as a conversion.
        value: sum over the lists of the total value of a list's events.
        value_squares: sum over the lists of the square of that total value.
        clicks_by_place: number of clicks at each place of the lists, first place first.
        followed: number of lists after which the session had another event.
        hits: number of followed lists that contain the item of the session's next event.
    """

    variant: str
    model_version: str
    source: str
    impressions: int
    clicked: int
    converted: int
    value: float
    value_squares: float
    clicks_by_place: Sequence[int]
    followed: int
    hits: int


@dataclass(frozen=True)
class Drift:
    """Counts of recent events, to compare them with the training interactions of a model.

    Attributes:
        model_version: version of the model's bundle.
        begin: start of the counted period in ms since 1970.
        events: number of events.
        unknown: number of events on items that the model does not have.
        head: number of events on the *head*: the fewest items that have half of the model's
            training interactions.
        head_share: share of the training interactions on the head.
        busiest: number of events of the session with the most events.
    """

    model_version: str
    begin: int
    events: int
    unknown: int
    head: int
    head_share: float
    busiest: int


@dataclass(frozen=True)
class LiveReport:
    """Live figures of a period.

    Attributes:
        schema: version of the file's format.
        begin: start of the period in ms since 1970; None: the start of the log.
        made_at: end of the period in ms since 1970, when the log was read.
        figures: figures of each variant, model version and source.
        drift: counts of recent events that show drift; None if they were not computed.
    """

    schema: int
    begin: int | None
    made_at: int
    figures: Sequence[LiveFigures]
    drift: Drift | None = None


def _number(at_least: float, at_most: float) -> Check:
    return Check(
        f"a number, {at_least:g} to {at_most:g}",
        lambda value: (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and at_least <= value <= at_most
        ),
    )


_CHECKS: Checks = {
    **dict.fromkeys(("variant", "model_version", "source"), NAME),
    **dict.fromkeys(("impressions", "clicked", "converted", "followed", "hits"), COUNT),
    "value": _number(-_MAX_SUM, _MAX_SUM),
    "value_squares": _number(0, _MAX_SUM),
    "clicks_by_place": list_of(COUNT),
}
_DRIFT_CHECKS: Checks = {
    "model_version": NAME,
    **dict.fromkeys(("begin", "events", "unknown", "head", "busiest"), COUNT),
    "head_share": _number(0, 1),
}
_REPORT_CHECKS: Checks = {
    "schema": whole_number(SCHEMA, SCHEMA),
    "begin": optional(COUNT),
    "made_at": COUNT,
    "figures": Check(
        f"a list of at most {MAX_FIGURES:,}",
        lambda value: isinstance(value, list) and len(value) <= MAX_FIGURES,
    ),
    "drift": Check("an object, or null", lambda value: value is None or isinstance(value, dict)),
}


def save_report(report: LiveReport, path: Path) -> None:
    """Writes a report to the file `path` atomically, as JSON.

    Raises:
        ValueError: the report could not be read: a figure is not finite, or there are too many.
    """
    if len(report.figures) > MAX_FIGURES:
        raise ValueError(f"{len(report.figures):,} figures, at most {MAX_FIGURES:,} are read")
    text = json.dumps(asdict(report), indent=1, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def load_report(path: Path) -> LiveReport:
    """Reads a report from the file `path`, as `save_report` writes it.

    Raises:
        BundleError: the file is missing, too large, or not a report.
    """
    report = build(
        LiveReport,
        parse_object(str(path), read_file(path, MAX_FILE_BYTES)),
        _REPORT_CHECKS,
        str(path),
    )
    figures = []
    for number, each in enumerate(report.figures):
        place = f"{path}: figures[{number}]"
        if not isinstance(each, dict):
            raise BundleError(f"{place}: not a JSON object")
        figures.append(_checked(build(LiveFigures, each, _CHECKS, place), place))
    return replace(report, figures=figures, drift=_checked_drift(report.drift, f"{path}: drift"))


def _checked_drift(content: object, place: str) -> Drift | None:
    if not isinstance(content, dict):
        return None
    drift = build(Drift, content, _DRIFT_CHECKS, place)
    if drift.unknown + drift.head > drift.events or drift.busiest > drift.events:
        raise BundleError(f"{place}: more events of a kind than events")
    return drift


def _checked(figures: LiveFigures, place: str) -> LiveFigures:
    if max(figures.clicked, figures.converted, figures.followed) > figures.impressions:
        raise BundleError(f"{place}: more lists with an event than impressions")
    if figures.hits > figures.followed:
        raise BundleError(f"{place}: more hits than lists that were followed")
    return figures
