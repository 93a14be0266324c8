"""Makes API keys that are slowed down after refusals rest between two requests."""

from service.admission.refusal_pace import RefusalPace

_LIGHT_SECONDS = 0.002
"""Minimum time between two light requests of keys that are slowed down.

It is about twice the time of a request, so that others find the event loop mostly free.
"""

_HEAVY_TURNS = 20
"""Minimum time from one heavy request of such keys to the next, in times of its expected work.

Besides its slices in a thread, a heavy request takes about a tenth of its time on the event loop:
its body is parsed there and its answer sent.
"""


class Rests:
    """Refuses requests of keys that are slowed down while they must rest.

    Such a key would use all of its share, which is free since its refusals are paused, and each
    request of the others would wait for that work. No key rests unless another one, which is not
    slowed down, sends requests.
    """

    def __init__(self, pace: RefusalPace) -> None:
        """Makes rests, none of which has begun; `pace` tells which keys are slowed down."""
        self._pace = pace
        self._light_until = self._heavy_until = 0.0

    def refuses_light(self, key: str, working: int, now: float) -> bool:
        """Returns whether a light request of `key` is refused.

        Keys that rest have one light request in progress at a time. `working`: number of light
        requests in progress. `now`: seconds of the clock of `pace`.
        """
        is_resting = working > 0 or now < self._light_until
        return is_resting and self._pace.slows_among_others(key, now)

    def refuses_heavy(self, key: str, now: float) -> bool:
        """Returns whether a heavy request of `key` is refused."""
        return now < self._heavy_until and self._pace.slows_among_others(key, now)

    def begin_light(self, key: str, now: float) -> None:
        """Begins the rest after a light request of `key`, if it is slowed down."""
        if self._pace.slows(key, now):
            self._light_until = now + _LIGHT_SECONDS

    def begin_heavy(self, key: str, seconds: float, now: float) -> None:
        """Begins the rest after a heavy request of `key`, if it is slowed down.

        `seconds`: time that the work is expected to take.
        """
        if self._pace.slows(key, now):
            self._heavy_until = now + _HEAVY_TURNS * seconds
