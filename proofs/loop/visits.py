"""Makes the input of the proof: visits of MovieLens users, whose ratings become clicks of today."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proofs.chaos.stack import SESSION_SECRET
from service.access.principal import DEFAULT_TENANT
from service.stores.session_refs import session_ref
from training.data.sources.movielens import read_movielens

_SPAN_MS = 20 * 86_400_000  # the ratings of twenty years become clicks of twenty days
_RESENT, _LATE, _ERASED = 0.1, 0.05, 0.02


@dataclass(frozen=True)
class Click:
    """A click of the input: its event id, its item, and its time in ms since 1970."""

    event_id: str
    item_id: str
    timestamp: int


@dataclass(frozen=True)
class Visit:
    """The clicks of a session in the order of their times, and whether it is erased at its end."""

    session_id: str
    clicks: Sequence[Click]
    is_erased: bool

    @property
    def ref(self) -> str:
        """Session ref of the session."""
        return session_ref(SESSION_SECRET, DEFAULT_TENANT, self.session_id)


def visits_of(num_clicks: int, chance: random.Random) -> list[Visit]:
    """Makes visits of MovieLens' users, with about `num_clicks` clicks together."""
    raw = read_movielens()
    assert raw.timestamps is not None  # noqa: S101 - MovieLens has them
    newest, span = int(raw.timestamps.max()), int(raw.timestamps.max() - raw.timestamps.min())
    now = int(time.time() * 1000)
    visits: list[Visit] = []
    offsets = raw.user_offsets
    for user in range(len(raw.user_ids)):
        rows = range(offsets[user], offsets[user + 1])[:num_clicks]
        if not rows:
            break
        moments = [now - (newest - int(raw.timestamps[row])) * _SPAN_MS // span for row in rows]
        times = _rising(moments, now)
        clicks = [
            Click(f"{user}-{number}", raw.catalog.item_ids[raw.item_indices[row] - 1], at)
            for number, (row, at) in enumerate(zip(rows, times, strict=True))
        ]
        visits.append(Visit(f"user{user}", clicks, chance.random() < _ERASED or user == 1))
        num_clicks -= len(clicks)
    return visits


def sendings(clicks: Sequence[Click], chance: random.Random) -> Iterator[tuple[Click, int]]:
    """Yields clicks in the order in which a client sends them, each with how often it does.

    Some clicks are sent after their successor, and some twice.
    """
    order = list(clicks)
    for place in range(len(order) - 1):
        if chance.random() < _LATE:
            order[place], order[place + 1] = order[place + 1], order[place]
    for click in order:
        yield click, 2 if chance.random() < _RESENT else 1


def _rising(moments: Sequence[int], now: int) -> list[int]:
    """Returns the moments, moved back so that each is at least 1 ms after the one before it."""
    latest, rising = now + 1, []
    for moment in reversed(moments):
        latest = min(moment, latest - 1)
        rising.append(latest)
    return rising[::-1]
