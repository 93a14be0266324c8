"""Names of the files of the event log: `KIND/date=YYYY-MM-DD/hour=HH/part-SHA256.parquet`.

Date and hour are those of an event's `timestamp`, an impression's `shown_at` or a tombstone's `at`,
in UTC. `SHA256` is the hash of the file's content.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, get_args

from training.errors import DataError

Kind = Literal["event", "impression", "tombstone"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TIME_COLUMNS: Mapping[Kind, str] = {
    "event": "timestamp",
    "impression": "shown_at",
    "tombstone": "at",
}
"""Name of the column that decides a record's partition, in ms since 1970."""

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_NUM_HOURS = 24
_EPOCH = date(1970, 1, 1)
_MAX_HOUR = 70_000_000  # in the year 9955; Python has no dates after 9999
_PART = re.compile(
    r"(?P<kind>[a-z]+)/date=(?P<date>\d{4}-\d\d-\d\d)/hour=(?P<hour>\d\d)/"
    r"part-(?P<sha256>[0-9a-f]{64})\.parquet"
)


def hour_of(milliseconds: int) -> int:
    """Converts ms since 1970 to full hours since 1970, at least 0 and at most `_MAX_HOUR`.

    This hour is a record's partition.
    """
    return min(max(milliseconds // HOUR_MS, 0), _MAX_HOUR)


@dataclass(frozen=True, order=True)
class Part:
    """A file of the event log.

    Attributes:
        kind: kind of the records.
        hour: hour of the partition, in hours since 1970.
        sha256: SHA-256 of the content, in hexadecimal digits.
    """

    kind: Kind
    hour: int
    sha256: str

    @property
    def folder(self) -> str:
        """Path of the partition's folder, relative to the folder of the log."""
        return partition_folder(self.kind, self.hour)

    @property
    def path(self) -> str:
        """Path of the file, relative to the folder of the log."""
        return f"{self.folder}/part-{self.sha256}.parquet"


def partition_folder(kind: Kind, hour: int) -> str:
    """Returns the path of a partition's folder, relative to the folder of the log.

    `hour` is in hours since 1970.
    """
    day, of_day = divmod(hour, _NUM_HOURS)
    return f"{kind}/date={_date_of(day)}/hour={of_day:02}"


def part_of(path: str) -> Part | None:
    """Returns the part that a path within the log names; None for any other file.

    Raises:
        DataError: the path has the form of a part, but names an impossible date or hour.
    """
    match = _PART.fullmatch(path)
    kind = next((each for each in KINDS if match and match["kind"] == each), None)
    if match is None or kind is None:
        return None
    hour = int(match["hour"])
    try:
        day = _day_of(match["date"])
    except ValueError:
        raise DataError(f"{path}: {match['date']} is not a date; remove the file") from None
    if hour >= _NUM_HOURS:
        raise DataError(f"{path}: hour {hour}: must be at most 23; remove the file")
    return Part(kind, day * _NUM_HOURS + hour, match["sha256"])


def _date_of(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def _day_of(text: str) -> int:
    return (date.fromisoformat(text) - _EPOCH).days
