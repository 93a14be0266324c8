"""Compaction: merges the small files of the event log, and removes erased and old records.

A partition's new file is written before its old files are removed, so a reader finds each record at
any time. Several processes may compact at once: each removes only files whose records it has
rewritten. A killed compaction leaves copies. Readers count them once, and the next compaction
merges them.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

import pyarrow as pa

from training.events.erasure import Deadlines, is_erased
from training.events.layout import DAY_MS, HOUR_MS, Kind, Part, hour_of
from training.events.log_folder import LogFolder
from training.events.reading import read_all_deadlines, read_deadlines
from training.events.schema import SCHEMA_VERSION, SCHEMAS, USER, in_order, table_of
from training.stage import fingerprint

STATE_NAME = "compaction.json"
REPORTS = "reports"
_TOMBSTONE_DAYS = 7  # tombstones are kept longer than other records, since a collector may be late


@dataclass(frozen=True)
class Report:
    """Report of one compaction, stored as a JSON file in the log's folder `reports`.

    Attributes:
        began_at: time of the beginning in ms since 1970.
        ended_at: time of the end in ms since 1970. By then, all tombstones that the log had at the
            beginning are applied.
        tombstones: number of sessions and users that these tombstones erase.
        erased_events: number of events that were removed because of tombstones.
        erased_impressions: number of impressions that were removed because of tombstones.
        files_before: number of files in the log at the beginning.
        files_after: number of files in the log at the end.
        expired_files: number of files that were removed because of their age.
    """

    began_at: int
    ended_at: int
    tombstones: int
    erased_events: int
    erased_impressions: int
    files_before: int
    files_after: int
    expired_files: int


def compact(log: LogFolder, keep_days: float | None = None) -> Report:
    """Merges the files of each partition, and removes erased records and old files.

    Files whose hour ended more than `keep_days` days ago are removed; None keeps files of any age.
    Files of tombstones are kept a week longer. Returns the report, which is also written to the
    log's folder `reports`.

    Raises:
        DataError: a file is damaged.
        OSError: a file cannot be written.
    """
    began_at = _now()
    log.remove_leftovers()
    before = _all_parts(log)
    expired = [] if keep_days is None else _expired(before, began_at, keep_days)
    log.remove(expired)
    deadlines = _with_derived(log)
    run = _Run(log, deadlines)
    for kind in SCHEMAS:
        for hour, parts in _partitions(log, kind):
            run.compact(kind, hour, parts)
    run.save_state()
    report = Report(
        began_at=began_at,
        ended_at=_now(),
        tombstones=len(deadlines),
        erased_events=run.erased["event"],
        erased_impressions=run.erased["impression"],
        files_before=len(before),
        files_after=len(_all_parts(log)),
        expired_files=len(expired),
    )
    text = json.dumps(asdict(report), indent=2) + "\n"
    log.write_file(f"{REPORTS}/compaction-{began_at}.json", text.encode())
    return report


class _Run:
    """One compaction of the log, which removes erased records and copies.

    If a partition has only one file and the last compaction, with the same tombstones, left that
    file without erased records and copies, it is skipped.
    """

    def __init__(self, log: LogFolder, deadlines: Deadlines) -> None:
        self.log = log
        self.deadlines = deadlines
        self.erased = dict.fromkeys(SCHEMAS, 0)
        self._of_deadlines = fingerprint(
            sorted((digest, each.at, each.sequence) for digest, each in deadlines.items())
        )
        self._checked_before = _checked(log, self._of_deadlines)
        self._checked: list[str] = []

    def compact(self, kind: Kind, hour: int, parts: Sequence[Part]) -> None:
        """Replaces the files of a partition by one file without copies and erased records.

        Leaves the partition as it is if another process compacts it at the same time.
        """
        if len(parts) == 1 and parts[0].sha256 in self._checked_before:
            self._checked.append(parts[0].sha256)
            return
        try:
            copies = pa.concat_tables(self.log.read(part) for part in parts)
        except FileNotFoundError:  # another process compacts the partition
            return
        # Erases first: an erased copy could else displace one that was sent after the erasure.
        erased = is_erased(kind, copies, self.deadlines)
        kept = in_order(kind, copies.filter(pa.array(~erased)))
        self.erased[kind] += len(in_order(kind, copies.filter(pa.array(erased))))
        replaced = set(parts)
        if len(kept):
            new = self.log.write(kind, hour, kept)
            self._checked.append(new.sha256)
            replaced.discard(new)
        self.log.remove(replaced)

    def save_state(self) -> None:
        """Saves the hashes of the files without erased records; the next compaction skips them."""
        state = {"deadlines": self._of_deadlines, "checked": sorted(self._checked)}
        self.log.write_file(STATE_NAME, json.dumps(state).encode())


def _checked(log: LogFolder, of_deadlines: str) -> frozenset[str]:
    """Returns the hashes of the files that the last compaction left without erased records.

    Returns an empty set unless the last compaction had the same tombstones, by their fingerprint
    `of_deadlines`.
    """
    try:
        state = json.loads(log.read_file(STATE_NAME) or b"{}")
        return frozenset(state["checked"] if state.get("deadlines") == of_deadlines else [])
    except (ValueError, AttributeError, KeyError, TypeError):  # damaged
        return frozenset()


def _with_derived(log: LogFolder) -> Deadlines:
    """Returns the deadlines of the log, with one for each session of an erased user.

    New deadlines are saved as tombstones in `log`. Impressions do not name their user. Once the
    user's events are erased, only these tombstones tell which impressions to erase.
    """
    found = read_all_deadlines(log)
    if not any(each.startswith(USER) for each in found):
        return found
    saved = read_deadlines(log)
    new = {digest: each for digest, each in found.items() if each != saved.get(digest)}
    for hour in {hour_of(each.at) for each in new.values()}:
        rows = [
            {"schema": SCHEMA_VERSION, "erased": digest, "at": each.at, "sequence": each.sequence}
            for digest, each in new.items()
            if hour_of(each.at) == hour
        ]
        log.write("tombstone", hour, table_of("tombstone", rows))
    return found


def _partitions(log: LogFolder, kind: Kind) -> Iterator[tuple[int, list[Part]]]:
    for hour, parts in groupby(log.parts(kind), key=lambda part: part.hour):
        yield hour, list(parts)


def _all_parts(log: LogFolder) -> list[Part]:
    return [part for kind in SCHEMAS for part in log.parts(kind)]


def _expired(parts: Sequence[Part], now: int, keep_days: float) -> list[Part]:
    def days(part: Part) -> float:
        return keep_days + (_TOMBSTONE_DAYS if part.kind == "tombstone" else 0)

    return [each for each in parts if (each.hour + 1) * HOUR_MS < now - days(each) * DAY_MS]


def _now() -> int:
    return time.time_ns() // 1_000_000
