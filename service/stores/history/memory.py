"""Session histories in memory: for a single worker and for tests."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.stores.history.protocol import Event, Retention


@dataclass(slots=True)
class _Session:
    events: deque[Event]
    expires_at: float


class InMemoryHistoryStore:
    """Stores at most `max_sessions` sessions; those with the oldest last event are dropped first.

    No method awaits anything, so each is atomic on the event loop.
    """

    def __init__(
        self,
        retention: Retention,
        max_sessions: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._retention = retention
        self._max_sessions = max_sessions
        self._clock = clock
        # Ordered by time of the last event, oldest first: sessions expire in the same order.
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    async def append(self, session_id: str, event: Event) -> Sequence[str]:
        """See HistoryStore."""
        self._drop_expired()
        session = self._sessions.get(session_id)
        if session is None:
            session = _Session(deque(maxlen=self._retention.max_length), expires_at=0)
        elif (first_answer := _history_until(session.events, event.event_id)) is not None:
            return first_answer
        session.events.append(event)
        session.expires_at = self._clock() + self._retention.ttl_seconds
        self._sessions[session_id] = session
        self._sessions.move_to_end(session_id)
        if len(self._sessions) > self._max_sessions:
            self._sessions.popitem(last=False)
        return [each.item_id for each in session.events]

    async def read(self, session_id: str) -> Sequence[str]:
        """See HistoryStore."""
        self._drop_expired()
        session = self._sessions.get(session_id)
        return [each.item_id for each in session.events] if session else []

    async def forget(self, session_id: str) -> None:
        """See HistoryStore."""
        self._sessions.pop(session_id, None)

    async def ping(self) -> None:
        """See HistoryStore."""

    async def check_write(self) -> None:
        """See HistoryStore."""

    async def close(self) -> None:
        """See HistoryStore."""

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._sessions:
            oldest = next(iter(self._sessions))
            if self._sessions[oldest].expires_at > now:
                return
            del self._sessions[oldest]


def _history_until(events: Sequence[Event], event_id: str | None) -> Sequence[str] | None:
    """Returns the item ids up to the event with `event_id`; None: no event has this id."""
    if event_id is None:
        return None
    history: list[str] = []
    for event in events:
        history.append(event.item_id)
        if event.event_id == event_id:
            return history
    return None
