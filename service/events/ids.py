"""Ids of answers and events: UUIDv7 (RFC 9562), which sort by time and cannot be guessed."""

import os
import time

_RANDOM_BYTES = 17
_IDS_IN_POOL = 256


class SortableIds:
    """Makes ids from the current time and random digits; several threads may use one object.

    Random bytes are read from the operating system for many ids at once, since each read takes
    microseconds.
    """

    def __init__(self) -> None:
        self._pool: list[str] = []  # `pop` of a list is atomic

    def recommendation_id(self) -> str:
        """Returns a new id of an answer: a UUIDv7 and 64 random bits, 48 hexadecimal digits."""
        digits = self._digits()
        return f"{time.time_ns() // 1_000_000:012x}7{digits[:3]}8{digits[3:]}"

    def event_id(self) -> str:
        """Returns a new id of an event: a UUIDv7, 32 hexadecimal digits."""
        return self.recommendation_id()[:32]

    def _digits(self) -> str:
        try:
            return self._pool.pop()
        except IndexError:
            digits = os.urandom(_IDS_IN_POOL * _RANDOM_BYTES).hex()
            each = 2 * _RANDOM_BYTES
            self._pool += [digits[at : at + each] for at in range(0, len(digits), each)]
            return os.urandom(_RANDOM_BYTES).hex()
