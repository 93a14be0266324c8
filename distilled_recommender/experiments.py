"""`distilled-recommender experiments`: counts clicks, conversions and hits of shown lists.

distilled-recommender experiments work/log --output experiments.json --days 14
"""

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from export.contract.log.live_figures import SCHEMA, LiveReport, save_report
from training.cli import say
from training.events.live_figures import Outcomes, live_figures
from training.events.log_folder import LogFolder
from training.events.reading import Window, read_records

_DAY_MS = 24 * 3600 * 1000

LogAddress = Annotated[
    str, Parameter(help="Folder of the Parquet files, or an address such as s3://bucket/log.")
]
Output = Annotated[Path, Parameter(help="File to write; the service reads it as EXPERIMENTS_PATH.")]
Days = Annotated[
    float | None,
    Parameter(help="Number of days to look back; by default all.", validator=Number(gt=0)),
]
Types = Annotated[
    list[str] | None, Parameter(help="Event types that count as clicks; by default all.")
]
Conversions = Annotated[list[str], Parameter(help="Event types that are conversions.")]


def command(
    log: LogAddress,
    /,
    *,
    output: Output,
    days: Days = None,
    clicks: Types = None,
    conversions: Conversions = ["purchase"],  # noqa: B006 - cyclopts reads it
) -> None:
    """Count clicks, conversions and hits of each variant in the event log."""
    now = time.time_ns() // 1_000_000
    begin = None if days is None else now - round(days * _DAY_MS)
    folder, window = LogFolder(log), Window(begin)
    events = read_records(folder, "event", window)
    impressions = read_records(folder, "impression", window)
    figures = live_figures(events, impressions, Outcomes(clicks, conversions))
    save_report(LiveReport(SCHEMA, begin, now, figures), output)
    say(f"{len(impressions):,} impressions and {len(events):,} events counted: {output}")
