"""The hash slots of keys, which are kept for heads of keys that end with a hash tag."""

from itertools import product

import pytest
from redis.crc import key_slot

from service.stores import cluster_connection
from service.stores.cluster_connection import slot_of
from service.stores.history.redis_keys import NUM_TAGS, keys_of, probe_key_of


@pytest.fixture(autouse=True)
def slot_of_head(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The slots that are kept: none at the start of a test."""
    kept: dict[str, int] = {}
    monkeypatch.setattr(cluster_connection, "_slot_of_head", kept)
    return kept


def test_each_key_has_the_slot_that_redis_gives_it_whichever_keys_came_before() -> None:
    # All heads of braces and letters, then ends that complete a tag, add one or change nothing.
    heads = ["".join(each) for length in range(7) for each in product("{}a", repeat=length)]
    keys = [head + end for head in heads for end in ("", "b", "}b", "{c}", "ä}")]
    for _ in range(2):
        for key in keys:
            assert slot_of(key) == key_slot(key.encode()), key


def test_the_slots_of_all_sessions_are_kept_by_their_tags(slot_of_head: dict[str, int]) -> None:
    for number in range(10_000):
        key = keys_of(f"v1.{number}").events
        assert slot_of(key) == key_slot(key.encode())
    assert {*slot_of_head} == {probe_key_of(each)[:-1] for each in range(NUM_TAGS)}


def test_no_more_slots_are_kept_than_sessions_need(slot_of_head: dict[str, int]) -> None:
    for number in range(9_999):
        key = f"{{{number:04}}}:key"
        assert slot_of(key) == key_slot(key.encode())
    assert len(slot_of_head) == 512
