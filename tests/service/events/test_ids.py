"""The ids of answers and events."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from service.events.ids import SortableIds


def test_an_id_begins_with_a_uuid_of_version_7_of_this_moment() -> None:
    before = time.time_ns() // 1_000_000
    made = SortableIds().recommendation_id()
    after = time.time_ns() // 1_000_000
    parsed = uuid.UUID(made[:32])
    assert (len(made), parsed.version, parsed.variant) == (48, 7, uuid.RFC_4122)
    assert before <= int(made[:12], 16) <= after


def test_ids_of_later_milliseconds_sort_later() -> None:
    ids = SortableIds()
    first = ids.recommendation_id()
    time.sleep(0.002)
    assert first < ids.recommendation_id()


def test_ids_are_never_made_twice_also_by_threads() -> None:
    ids = SortableIds()
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: ids.recommendation_id()[13:], range(5_000)))
    assert len(set(made)) == 5_000


def test_an_id_of_an_event_is_a_uuid() -> None:
    assert uuid.UUID(SortableIds().event_id()).version == 7
