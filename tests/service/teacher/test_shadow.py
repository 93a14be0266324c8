import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from fastapi import Response

from service.background import in_background
from service.bundles.loading import load_recommender
from service.ranking.recommender import Query, Recommender
from service.stores.items.edits import ItemEdit
from service.teacher import shadow as shadow_module
from service.teacher.answering import teacher_query_for
from service.teacher.client import TeacherQuery
from service.teacher.shadow import Shadow
from service.teacher.slow_path import SlowPath
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.service.teacher.conftest import RingTeacher

pytestmark = pytest.mark.anyio

NOBODY: list[float] = []
WANTED = Query(["a"], 3, exclude=["h"])


@pytest.fixture(scope="module")
def recommender(bundle_path: Path) -> Recommender:
    return load_recommender(bundle_path, max_k=8)


def ignore() -> None:
    """Counts no failure."""


def offer(shadow: Shadow, recommender: Recommender, query: Query) -> None:
    shadow.offer(recommender, query, recommender.recommend(query))


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE_SECONDS):
        while not condition():
            await anyio.sleep(0.001)


async def test_the_agreement_with_a_sampled_answer_is_logged(
    slow_path: SlowPath,
    recommender: Recommender,
    ring_teacher: "RingTeacher",
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "service.teacher.shadow")
    overlaps: list[float] = []
    shadow = Shadow(slow_path, 1, overlaps.append, ignore)
    async with in_background(shadow.run()):
        offer(shadow, recommender, WANTED)
        await until(lambda: bool(caplog.records))
    assert overlaps == [0]
    assert ring_teacher.asked == [{"history": ["a"], "k": 3, "exclude": ["h"], "mask_seen": True}]
    # b, c, d and g, f, e: 9 of the 15 pairs are turned round, the others tied once each.
    assert caplog.messages == ["shadow: overlap@3 0.000, rank correlation -0.600"]


async def test_only_the_share_is_sampled(
    slow_path: SlowPath, recommender: Recommender, ring_teacher: "RingTeacher"
) -> None:
    draws = iter([0.24, 0.25, 0.1])
    shadow = Shadow(slow_path, 0.25, NOBODY.append, ignore, lambda: next(draws))
    async with in_background(shadow.run()):
        for item_id in "bcd":
            offer(shadow, recommender, Query([item_id], 1))
        await until(lambda: len(ring_teacher.asked) == 2)
    assert [each["history"] for each in ring_teacher.asked] == [["b"], ["d"]]


async def test_samples_that_the_teacher_is_too_slow_for_are_dropped(
    slow_path: SlowPath, recommender: Recommender, ring_teacher: "RingTeacher"
) -> None:
    ring_teacher.free = anyio.Event()
    shadow = Shadow(slow_path, 1, NOBODY.append, ignore)
    async with in_background(shadow.run()):
        for _ in range(1000):
            offer(shadow, recommender, WANTED)
        assert len(ring_teacher.asked) <= 1


async def test_a_query_that_leaves_out_too_many_items_is_not_compared(
    slow_path: SlowPath,
    recommender: Recommender,
    ring_teacher: "RingTeacher",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shadow_module, "MAX_DENIED", 5)
    hiding = recommender.with_changes({}, {"h": ItemEdit("h", hidden=True)})
    few, many = ({"letter": [*letters]} for letters in ("bde", "bd"))  # 5 and 6 of 8 are left out
    shadow = Shadow(slow_path, 1, NOBODY.append, ignore)
    async with in_background(shadow.run()):
        offer(shadow, recommender, Query(["a"], 1, allow=many))
        offer(shadow, hiding, Query(["a"], 1, deny={"letter": [*"adefg"]}))
        offer(shadow, recommender, Query(["b"], 1, allow=few))
        offer(shadow, hiding, Query(["c"], 1, deny={"letter": [*"defg"]}))
        await until(lambda: len(ring_teacher.asked) == 2)
    assert [each["history"] for each in ring_teacher.asked] == [["b"], ["c"]]
    assert [sorted(each["exclude"]) for each in ring_teacher.asked] == [[*"acfgh"], [*"defgh"]]


async def test_ids_for_the_teacher_are_listed_in_a_thread_so_that_requests_go_on(
    slow_path: SlowPath,
    recommender: Recommender,
    ring_teacher: "RingTeacher",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[threading.Thread] = []

    def noting_its_thread(recommender: Recommender, query: Query) -> TeacherQuery:
        threads.append(threading.current_thread())
        return teacher_query_for(recommender, query)

    monkeypatch.setattr(shadow_module, "teacher_query_for", noting_its_thread)
    shadow = Shadow(slow_path, 1, NOBODY.append, ignore)
    async with in_background(shadow.run()):
        offer(shadow, recommender, WANTED)
        await until(lambda: bool(ring_teacher.asked))
    assert threads[0] is not threading.current_thread()


async def test_a_failing_teacher_is_counted_and_does_not_stop_the_shadow(
    slow_path: SlowPath,
    recommender: Recommender,
    ring_teacher: "RingTeacher",
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "service.teacher.shadow")
    ring_teacher.failure = Response(status_code=500)
    failures: list[None] = []
    shadow = Shadow(slow_path, 1, NOBODY.append, lambda: failures.append(None))
    async with in_background(shadow.run()):
        offer(shadow, recommender, WANTED)
        await until(lambda: bool(caplog.records))
        ring_teacher.failure = None
        offer(shadow, recommender, WANTED)
        await until(lambda: len(caplog.records) == 2)
    assert len(failures) == 1
    assert "does not answer" in caplog.messages[0]
    assert "overlap@3" in caplog.messages[1]
