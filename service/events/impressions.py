"""Collects impressions, the records of answered lists, and writes them to the event log.

Impressions are written in groups, up to about 0.1 s after their answers, so that no answer waits
for its impression. A killed process loses the impressions that it has not written yet.
"""

import asyncio
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson

from export.contract.log.events import (
    MAX_FILTERS_LENGTH,
    MAX_SHOWN_ITEMS,
    MAX_TEXT_BYTES,
    SCHEMA,
    ImpressionRecord,
    row_of,
)
from service.events.ids import SortableIds
from service.ranking.recommender import Query, Recommendations
from service.stores.event_log.protocol import CountLeftOut, ImpressionLog

_SECONDS_TO_WRITE = 0.1
_MAX_WAITING = 4_096  # impressions in memory
_IN_ENTRY = 64
_TOO_LONG = '{"too_long":true}'


class Audience(NamedTuple):
    """The part of an impression that comes from the request: who asked, and for what.

    Attributes:
        tenant: owner of the session.
        session_ref: session ref of the session; None: the request names no session.
        query: the answered query; the impression records its filters.
    """

    tenant: str
    session_ref: str | None
    query: Query


class Impressions:
    """Gives each answer an id, and collects the impressions of a random share of the answers."""

    def __init__(
        self,
        ids: SortableIds,
        log: ImpressionLog | None,
        share: float,
        count_left_out: CountLeftOut,
    ) -> None:
        """Starts with no waiting impressions.

        Args:
            ids: makes the ids of answers.
            log: the log that impressions are written to; None: answers have no impressions.
            share: share of the answers that have an impression, 0 to 1.
            count_left_out: counts impressions that are left out of the log.
        """
        self._ids = ids
        self._log = log
        self._share = 0.0 if log is None else share
        self._count_left_out = count_left_out
        self._waiting: list[ImpressionRecord] = []
        self._writing = asyncio.Lock()

    @property
    def is_on(self) -> bool:
        """Whether impressions are collected at all."""
        return self._share > 0

    def shown(
        self,
        variant: str,
        model_version: str,
        recommendations: Recommendations,
        audience: Audience | None,
        *,
        degraded: bool,
    ) -> str:
        """Returns a new id for an answer, and keeps the answer's impression until it is written.

        Only the share of answers that `__init__` gives has an impression. Any thread may call this.

        Args:
            variant: name of the variant that answered.
            model_version: version of its bundle.
            recommendations: the answered list.
            audience: the receiver of the answer; None: the answer has no impression.
            degraded: whether the answer is degraded.
        """
        made = self._ids.recommendation_id()
        if audience is not None and self._is_chosen():
            filters = _filters(audience.query)
            impression = ImpressionRecord(
                SCHEMA,
                made,
                audience.tenant,
                audience.session_ref,
                time.time_ns() // 1_000_000,
                recommendations.item_ids[:MAX_SHOWN_ITEMS],
                variant,
                model_version,
                recommendations.source,
                degraded,
                filters,
            )
            self._waiting.append(impression)
        return made

    def _is_chosen(self) -> bool:
        if self._share < 1 and random.random() >= self._share:  # noqa: S311 - no secret
            return False
        if len(self._waiting) < _MAX_WAITING:
            return True
        self._count_left_out("impression", "behind", 1)
        return False

    async def follow(self) -> None:
        """Writes the waiting impressions every 0.1 s until cancelled."""
        while True:
            await asyncio.sleep(_SECONDS_TO_WRITE)
            # Shielded, so that the end of the service loses no impressions that are being written.
            await asyncio.shield(self.write())

    async def write(self) -> None:
        """Writes the waiting impressions to the log; counts those that cannot be written."""
        async with self._writing:
            waiting, self._waiting = self._waiting, []
            # Encoded here, many in a row, which takes half the time of one after each answer.
            for lines in _entries_of(orjson.dumps(row_of(each)) for each in waiting):
                await self._write(lines)

    async def _write(self, lines: Sequence[bytes]) -> None:
        if self._log is None:
            return
        if len(lines[0]) >= MAX_TEXT_BYTES:
            self._count_left_out("impression", "too_long", len(lines))
            return
        reason = await self._log.append_impressions(b"\n".join(lines).decode())
        if reason is not None:
            self._count_left_out("impression", reason, len(lines))


def _entries_of(lines: Iterable[bytes]) -> Iterator[Sequence[bytes]]:
    """Groups lines into entries of at most `_IN_ENTRY` lines and MAX_TEXT_BYTES bytes.

    Each line is the record of one impression. A line that is too long for any entry becomes an
    entry of its own.
    """
    entry: list[bytes] = []
    size = 0
    for line in lines:
        added = len(line) + 1  # with its line feed
        if entry and (len(entry) == _IN_ENTRY or size + added > MAX_TEXT_BYTES):
            yield entry
            entry, size = [], 0
        entry.append(line)
        size += added
    if entry:
        yield entry


def _filters(query: Query) -> str:
    """Returns the filters of a query as the text of a JSON object, or an empty string for none.

    Filters that are too long are replaced by `_TOO_LONG`.
    """
    if not (query.allow or query.deny):
        return ""
    given: Mapping[str, Mapping[str, Sequence[str]]] = {"allow": query.allow, "deny": query.deny}
    text = orjson.dumps(given).decode()
    return text if len(text) <= MAX_FILTERS_LENGTH else _TOO_LONG
