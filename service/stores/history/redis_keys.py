"""Names of the Redis keys of a session.

`s:{NN}:REF` is the list of its events, and `e:{NN}:REF` the sorted set of their ids. `f:{NN}:REF`
is the time at which it was erased, so that a journal does not bring it back. NN, a hash of the ref
from 00 to 63, is the hash tag: all keys of a session lie in one slot of a cluster.
"""

from binascii import crc_hqx
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from service.stores.history.protocol import Session

_TAGS = tuple(f"{{{number:02}}}" for number in range(64))
_NUM_CACHED = 4_096  # a visitor's requests follow one another within minutes


class SessionKeys(NamedTuple):
    """The keys of one ref: the list of events, and the sorted set of event ids."""

    events: str
    event_ids: str


class AllKeys(NamedTuple):
    """All keys of a session.

    Attributes:
        current: the keys that are written.
        former_events: lists under former names, from which the session is moved.
        former_event_ids: sets under former names, likewise.
        flat: all of them in this order: current keys, former lists, former sets.
    """

    current: SessionKeys
    former_events: Sequence[str]
    former_event_ids: Sequence[str]
    flat: Sequence[str]


def keys_of(ref: str) -> SessionKeys:
    """Returns the keys of a session by its ref."""
    hashed = crc_hqx(ref.encode("ascii"), 0)  # CRC-16/XMODEM, by which Redis hashes keys too
    tag = _TAGS[hashed % len(_TAGS)]
    return SessionKeys(f"s:{tag}:{ref}", f"e:{tag}:{ref}")


def erased_key_of(ref: str) -> str:
    """Returns the key of the time at which a session was erased; written only with a journal."""
    return f"f{keys_of(ref).events[1:]}"


@lru_cache(_NUM_CACHED)
def all_keys_of(session: Session) -> AllKeys:
    """Returns the current and the former keys of a session."""
    current = keys_of(session.ref)
    events = [] if session.old_id is None else [f"session:{session.old_id}"]
    if not session.former_refs:
        return AllKeys(current, events, (), (*current, *events))
    former = [keys_of(ref) for ref in session.former_refs]
    events += [each.events for each in former]
    event_ids = [each.event_ids for each in former]
    return AllKeys(current, events, event_ids, (*current, *events, *event_ids))
