"""Which lists have impressions, and how these are divided into the entries of the event log."""

from collections.abc import Sequence

import pytest

from export.contract.items import Item
from export.contract.log.events import Entry, ImpressionRecord, records_of
from service.events.ids import SortableIds
from service.events.impressions import Audience, Impressions
from service.ranking.recommender import Query, Recommendations
from service.stores.event_log.protocol import LeftOut

pytestmark = pytest.mark.anyio


class Written:
    """A log that keeps the texts of its entries."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def append_impressions(self, text: str) -> LeftOut | None:
        """See ImpressionLog."""
        self.texts.append(text)
        return None


def shown_by(impressions: Impressions, items: Sequence[str]) -> None:
    """Gives a list its impression, if it is chosen."""
    ranking = [(Item(item_id, item_id, 0), 0.0) for item_id in items]
    shown = Recommendations(ranking, "student", degraded=False, unknown_items=0)
    impressions.shown("v", "m", shown, Audience("t", None, Query([], 1)), degraded=False)


async def written(
    lists: Sequence[Sequence[str]],
) -> tuple[list[list[ImpressionRecord]], list[object]]:
    """The impressions of each entry, as readers read it, and what was left out."""
    log, left_out = Written(), list[object]()
    impressions = Impressions(SortableIds(), log, 1.0, lambda *what: left_out.append(what))
    for items in lists:
        shown_by(impressions, items)
    await impressions.write()
    entries = [records_of(Entry(1, text)) for text in log.texts]
    return [
        [each for each in entry if isinstance(each, ImpressionRecord)] for entry in entries
    ], left_out


async def test_an_entry_has_as_many_impressions_as_readers_accept() -> None:
    lists = [["x" * 256] * 500] * 20  # 20 times 130 kB, of which 8 are within 1 MiB
    entries, left_out = await written(lists)
    assert [len(entry) for entry in entries] == [8, 8, 4]
    assert left_out == []


async def test_an_impression_that_no_entry_can_have_is_left_out_and_counted() -> None:
    lists = [["a"], ["\x01" * 256] * 1_000, ["b"]]  # a control character takes 6 bytes
    entries, left_out = await written(lists)
    assert [list(each.items) for entry in entries for each in entry] == [["a"], ["b"]]
    assert left_out == [("impression", "too_long", 1)]


async def test_while_the_log_is_behind_only_chosen_lists_count_as_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.events.impressions._MAX_WAITING", 0)
    draws = iter([0.1, 0.5, 0.9, 0.2, 0.25, 0.99])
    monkeypatch.setattr("random.random", lambda: next(draws))
    left_out = list[object]()
    impressions = Impressions(SortableIds(), Written(), 0.25, lambda *what: left_out.append(what))
    for _ in range(6):
        shown_by(impressions, ["a"])
    assert left_out == [("impression", "behind", 1)] * 2
