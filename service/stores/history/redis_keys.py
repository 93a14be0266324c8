"""Names of the Redis keys that hold the data of sessions and users.

- `s:{NN}:REF`: the list of the events of the session with the session ref REF.
- `e:{NN}:REF`: the sorted set of the event ids of this session.
- `v:{NN}:REF`: the sorted set of the user refs of this session.
- `u:{NN}:USER_REF`: the sorted set of the session refs of a user.
- `f:{NN}:DIGEST`: the time at which a session or a user was erased, so that the replay of a journal
  restores nothing. DIGEST is a hash of the ref, so that no ref of erased data is stored.
- `KEY:moving`: the events under the former name KEY while they are moved to another slot of a
  cluster.

NN is a hash of the ref, from 00 to 63. Redis Cluster chooses the slot of a key by the part in
braces, so all keys of a ref lie in one slot.
"""

from binascii import crc_hqx
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import count
from typing import NamedTuple

from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from export.contract.log.events import STREAMS
from service.stores.history.protocol import Session

NUM_TAGS = 64
_TAGS = tuple(f"{{{number:02}}}" for number in range(NUM_TAGS))
_DIGEST_LENGTH = 32  # hexadecimal digits: 128 bits
_NUM_CACHED = 4_096  # a visitor's requests follow one another within minutes


class SessionKeys(NamedTuple):
    """The Redis keys of one session ref: its list of events, and the set of its event ids."""

    events: str
    event_ids: str


class AllKeys(NamedTuple):
    """All Redis keys of a session, under its current and former names.

    Attributes:
        current: the keys under the current name.
        former_events: keys of the lists of events under former names.
        former_event_ids: keys of the sets of event ids under former names.
        flat: all these keys: `current`, then `former_events`, then `former_event_ids`.
        with_log: `flat`, with the stream of the event log after `current`.
    """

    current: SessionKeys
    former_events: Sequence[str]
    former_event_ids: Sequence[str]
    flat: Sequence[str]
    with_log: Sequence[str]


def keys_of(ref: str) -> SessionKeys:
    """Returns the Redis keys of the events and the event ids of a session ref."""
    tag = _TAGS[tag_number(ref)]
    return SessionKeys(f"s:{tag}:{ref}", f"e:{tag}:{ref}")


def user_key_of(user_ref: str) -> str:
    """Returns the Redis key of the set of session refs of the user with `user_ref`."""
    return f"u{keys_of(user_ref).events[1:]}"


def users_key_of(ref: str) -> str:
    """Returns the Redis key of the set of user refs of the session with the session ref `ref`."""
    return f"v{keys_of(ref).events[1:]}"


def stream_of(ref: str) -> str:
    """Returns the key of the event log's stream for a session ref or user ref."""
    return STREAMS[tag_number(ref)]


def erased_key_of(ref: str) -> str:
    """Returns the Redis key of the time at which a session or a user was erased.

    `ref`: session ref or user ref. Only a store with a journal writes the key.
    """
    digest = sha256(ref.encode("ascii")).hexdigest()[:_DIGEST_LENGTH]
    return f"f:{_TAGS[tag_number(ref)]}:{digest}"


def moving_key_of(key: str) -> str:
    """Returns the Redis key that holds the events of a former name while they are moved.

    `key`: the Redis key of the former name. Both keys are in one cluster slot.
    """
    tag, end, _ = key.partition("{")[2].partition("}")
    if tag and end:
        return f"{key}:moving"
    if "}" not in key:
        return f"{{{key}}}:moving"
    # Redis hashes this key as a whole, and no part in braces can be the same text.
    slot = _slot_of(key)
    number = next(number for number in count() if _slot_of(str(number)) == slot)
    return f"{{{number}}}:{key}:moving"


def _slot_of(text: str) -> int:
    return crc_hqx(text.encode(), 0) % REDIS_CLUSTER_HASH_SLOTS


@lru_cache(_NUM_CACHED)
def all_keys_of(session: Session) -> AllKeys:
    """Returns the Redis keys of a session under its current and former names."""
    current = keys_of(session.ref)
    events = [] if session.old_id is None else [f"session:{session.old_id}"]
    former = [keys_of(ref) for ref in session.former_refs]
    events += [each.events for each in former]
    event_ids = [each.event_ids for each in former]
    flat = (*current, *events, *event_ids)
    with_log = (*current, stream_of(session.ref), *events, *event_ids)
    return AllKeys(current, events, event_ids, flat, with_log)


def probe_key_of(number: int) -> str:
    """Returns a key that does not exist, in the slot of all refs with this `tag_number`."""
    return f"s:{_TAGS[number]}:"


def tag_number(ref: str) -> int:
    """Returns the hash of a ref that its keys contain: NN, from 0 to 63."""
    return crc_hqx(ref.encode("ascii"), 0) % len(_TAGS)  # CRC-16/XMODEM, by which Redis hashes too
