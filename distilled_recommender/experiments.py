"""`distilled-recommender experiments`: counts clicks, conversions and hits of shown lists.

distilled-recommender experiments work/log --output experiments.json --days 14
distilled-recommender experiments work/log --output experiments.json --bundle bundles/active
"""

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from export.contract.bundle import load_bundle
from export.contract.log.live_figures import SCHEMA, Drift, LiveReport, save_report
from export.contract.records import BundleError
from training.cli import say
from training.errors import ConfigError
from training.events.drift import drift_of
from training.events.layout import DAY_MS, HOUR_MS
from training.events.live_figures import Outcomes, live_figures
from training.events.log_folder import LogFolder
from training.events.reading import Window, read_records

_LONGEST = 1_000_000  # days or hours; a longer time would overflow

LogAddress = Annotated[
    str, Parameter(help="Folder of the Parquet files, or an address such as s3://bucket/log.")
]
Output = Annotated[Path, Parameter(help="File to write; the service reads it as EXPERIMENTS_PATH.")]
Days = Annotated[
    float | None,
    Parameter(
        help="Number of days to look back; by default all.", validator=Number(gt=0, lte=_LONGEST)
    ),
]
Types = Annotated[
    list[str] | None, Parameter(help="Event types that count as clicks; by default all.")
]
Conversions = Annotated[list[str], Parameter(help="Event types that are conversions.")]
ServedBundle = Annotated[
    Path | None,
    Parameter(
        name="--bundle",
        help="The served bundle: recent events are compared with what it has learned from.",
    ),
]
DriftHours = Annotated[
    float,
    Parameter(
        help="How far back events are recent, for --bundle.", validator=Number(gt=0, lte=_LONGEST)
    ),
]


def command(
    log: LogAddress,
    /,
    *,
    output: Output,
    days: Days = None,
    clicks: Types = None,
    conversions: Conversions = ["purchase"],  # noqa: B006 - cyclopts reads it
    bundle: ServedBundle = None,
    drift_hours: DriftHours = 24.0,
) -> None:
    """Count clicks, conversions and hits of each variant in the event log."""
    now = time.time_ns() // 1_000_000
    begin = None if days is None else _before(now, days * DAY_MS)
    folder, window = LogFolder(log), Window(begin)
    events = read_records(folder, "event", window)
    impressions = read_records(folder, "impression", window)
    figures = live_figures(events, impressions, Outcomes(clicks, conversions))
    drift = None if bundle is None else _drift(folder, bundle, _before(now, drift_hours * HOUR_MS))
    try:
        save_report(LiveReport(SCHEMA, begin, now, figures, drift), output)
    except ValueError as error:
        raise ConfigError(f"--output {output}: {error}; count fewer days with --days") from error
    except OSError as error:
        raise ConfigError(f"--output {output}: {error.strerror}") from error
    say(f"{len(impressions):,} impressions and {len(events):,} events counted: {output}")


def _before(now: int, milliseconds: float) -> int:
    """Returns the time in ms since 1970 that is so long before `now`; at the earliest 1970."""
    return max(0, now - round(milliseconds))


def _drift(log: LogFolder, path: Path, begin: int) -> Drift:
    try:
        bundle = load_bundle(path)
    except BundleError as error:
        raise ConfigError(f"--bundle {path}: {error}") from error
    events = read_records(log, "event", Window(begin))
    popularity = {item.item_id: item.popularity for item in bundle.items}
    return drift_of(events, popularity, bundle.manifest.model_version, begin)
