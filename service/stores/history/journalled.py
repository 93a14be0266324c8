"""Writes events to the journal while the history store fails; moves them to the store later."""

import logging
import time
import uuid
from dataclasses import replace

from service.errors import HistoryRejectionError, HistoryUnavailableError
from service.stores.event_log.protocol import CountLeftOut, NotLoggedError
from service.stores.group_commit import DiskError, DiskFullError
from service.stores.history.journal import Journal
from service.stores.history.journal_records import Record
from service.stores.history.protocol import Event, NotStored, ReplayableStore, Session

logger = logging.getLogger(__name__)


class JournalledEvents:
    """Writes events to a journal while a history store fails, and stores them afterwards."""

    def __init__(
        self,
        journal: Journal,
        store: ReplayableStore,
        count_left_out: CountLeftOut = lambda *_: None,
    ) -> None:
        self._journal = journal
        self._store = store
        self._count_left_out = count_left_out

    @property
    def num_waiting(self) -> int:
        """Number of events in the journal that the store does not have yet.

        Counts those that this worker has written or taken over, and not those of other workers.
        """
        return self._journal.num_waiting

    @property
    def num_set_aside(self) -> int:
        """Number of events that this worker has set aside, because the store rejects them."""
        return self._journal.num_set_aside

    @staticmethod
    def identified(event: Event) -> Event:
        """Returns the event itself if it has an event id, else a copy with a random event id.

        The store keeps only one of two events with the same id. So an event is stored once, even if
        it is sent again after a call that seemed to fail, or is replayed twice.
        """
        return event if event.event_id else replace(event, event_id=uuid.uuid4().hex)

    async def keep(self, session: Session, event: Event) -> NotStored:
        """Writes an event to the journal; the event must have an id.

        Returns:
            "journalled", or the reason why the event is lost: "journal_full" or "journal_failed".
        """
        at = time.time_ns() // 1000
        record = Record(
            session.ref,
            event.item_id,
            event.event_id or "",
            at,
            event.log_text,
            event.is_for_history,
            event.user_ref,
        )
        try:
            await self._journal.append(record)
        except DiskFullError:
            return "journal_full"
        except DiskError:
            return "journal_failed"
        return "journalled"

    async def take_over(self) -> None:
        """Takes over the events of workers that have ended, which a replay then stores too."""
        await self._journal.take_over()

    async def replay(self) -> None:
        """Stores the events of the journal in the history store.

        If the store or the disk fails, logs a warning; the remaining events stay in the journal.
        """
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
        """Closes the files of the journal and the connections of the store."""
        await self._journal.close()
        await self._store.close()

    async def _insert(self, record: Record) -> None:
        event = Event(
            record.item_id,
            record.event_id,
            record.is_for_history,
            record.log_text,
            record.user_ref,
        )
        try:
            await self._store.insert(record.ref, event, record.at)
        except NotLoggedError as error:
            self._count_left_out("event", error.reason, int(error.is_new))
        except HistoryRejectionError as error:
            await self._journal.set_aside(record, str(error))
