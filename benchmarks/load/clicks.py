"""Generates synthetic sessions and interleaves their clicks.

The sessions follow ETUDE (Kersbergen et al., ICDE 2024): session lengths and item popularity have
power-law distributions, with exponents close to those that ETUDE reports for a large shop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from benchmarks.load.plan import NO_PREDECESSOR

LENGTH_EXPONENT = 1.8
POPULARITY_EXPONENT = 1.35
LONGEST_SESSION = 200
OPEN_SESSIONS = 1_000


@dataclass(frozen=True)
class Click:
    """A click on one item in one session."""

    session_id: str
    item_id: str


def power_law(
    exponent: float, largest: int, size: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draws `size` integers from 1 to `largest` by a power law.

    The probability of `n` is proportional to `n ** -exponent`.
    """
    weights = np.arange(1, largest + 1, dtype=np.float64) ** -exponent
    drawn = generator.choice(largest, size=size, p=weights / weights.sum())
    numbers: NDArray[np.int64] = drawn + 1
    return numbers


def power_law_sessions(
    item_ids: Sequence[str], generator: np.random.Generator
) -> Iterator[Sequence[str]]:
    """Yields random sessions without end, each as item ids in the order of their clicks.

    `item_ids` is the catalog, most popular item first.
    """
    while True:
        lengths = power_law(LENGTH_EXPONENT, LONGEST_SESSION, 256, generator)
        places = power_law(POPULARITY_EXPONENT, len(item_ids), int(lengths.sum()), generator) - 1
        for session in np.split(places, np.cumsum(lengths)[:-1]):
            yield [item_ids[place] for place in session]


def interleaved(
    sessions: Iterator[Sequence[str]],
    generator: np.random.Generator,
    open_sessions: int = OPEN_SESSIONS,
) -> Iterator[Click]:
    """Yields clicks, each from a random one of `open_sessions` concurrent sessions.

    When a session ends, the next of `sessions` takes its place. Without a next one, no more clicks
    are yielded.
    """
    numbered = ((f"visit-{number}", iter(items)) for number, items in enumerate(sessions))
    places = list(islice(numbered, open_sessions))
    while True:
        for place in generator.integers(len(places), size=4096).tolist():
            session_id, items = places[place]
            while (item := next(items, None)) is None:
                following = next(numbered, None)
                if following is None:
                    return
                session_id, items = places[place] = following
            yield Click(session_id, item)


def predecessors_of(clicks: Sequence[Click]) -> list[int]:
    """Returns, for each click, the index of the previous click of its session, or -1 if none."""
    newest: dict[str, int] = {}
    predecessors = []
    for number, click in enumerate(clicks):
        predecessors.append(newest.get(click.session_id, NO_PREDECESSOR))
        newest[click.session_id] = number
    return predecessors


def clicks_of(
    session_ids: Sequence[str], item_ids: Sequence[str], count: int, generator: np.random.Generator
) -> list[Click]:
    """Draws `count` clicks: a session of `session_ids`, uniformly, and an item by its popularity.

    `item_ids` is the catalog, most popular item first.
    """
    sessions = generator.integers(len(session_ids), size=count).tolist()
    places = power_law(POPULARITY_EXPONENT, len(item_ids), count, generator).tolist()
    pairs = zip(sessions, places, strict=True)
    return [Click(session_ids[session], item_ids[place - 1]) for session, place in pairs]
