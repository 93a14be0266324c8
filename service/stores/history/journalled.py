"""Writes events to the journal while the history store fails, and stores them later."""

import logging
import time
import uuid

from service.errors import HistoryUnavailableError
from service.stores.history.journal import Journal, JournalError, JournalFullError
from service.stores.history.journal_segments import Record
from service.stores.history.protocol import Event, NotStored, ReplayableStore, Session

logger = logging.getLogger(__name__)


class JournalledEvents:
    """Keeps events in a journal while a store fails, and stores them when it works again."""

    def __init__(self, journal: Journal, store: ReplayableStore) -> None:
        self._journal = journal
        self._store = store

    @property
    def num_waiting(self) -> int:
        """Number of events that this worker has journalled and not stored yet."""
        return self._journal.num_waiting

    @staticmethod
    def identified(event: Event) -> Event:
        """Returns the event with an id, a new one if it has none.

        With an id, an event that is sent to the store twice is stored once. A failed call has
        possibly stored it, and an interrupted replay begins again.
        """
        return event if event.event_id else Event(event.item_id, uuid.uuid4().hex)

    async def keep(self, session: Session, event: Event) -> NotStored:
        """Writes an event that has an id to the journal; returns the outcome as a NotStored."""
        at = time.time_ns() // 1000
        record = Record(session.ref, event.item_id, event.event_id or "", at)
        try:
            await self._journal.append(record)
        except JournalFullError:
            return "journal_full"
        except JournalError:
            return "journal_failed"
        return "journalled"

    async def replay(self) -> None:
        """Stores the events of the journal; if the store or the disk fails, the rest stay there."""
        try:
            count = await self._journal.replay(self._insert)
        except HistoryUnavailableError as error:
            logger.warning("the journal could not be stored yet: %s", error.in_full)
        except OSError as error:
            logger.warning("the journal could not be read: %s", error)
        else:
            if count:
                logger.warning("stored %d events of the journal", count)

    async def close(self) -> None:
        """Closes the journal's files and the store's connections."""
        await self._journal.close()
        await self._store.close()

    async def _insert(self, record: Record) -> None:
        event = Event(record.item_id, record.event_id)
        await self._store.insert(record.ref, event, record.at)
