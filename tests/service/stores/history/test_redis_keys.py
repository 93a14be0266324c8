"""Names of keys, of which those that one script uses must lie in one slot of a cluster."""

import pytest
from redis.crc import key_slot

from service.stores.history.redis_keys import keys_of, moving_key_of


@pytest.mark.parametrize(
    "key",
    [
        keys_of("v1.ann").events,
        "session:ann",
        "session:{ann}ben",
        "session:a{ben",
        "session:a}b",
        "session:{}ann",
        "session:}{ann",
        "session:é{",
    ],
)
def test_events_that_are_moved_stay_in_their_slot(key: str) -> None:
    moving = moving_key_of(key)
    assert moving != key
    assert key_slot(moving.encode()) == key_slot(key.encode())
