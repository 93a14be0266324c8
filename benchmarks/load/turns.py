"""Lets measurements take turns, so that other programs on the machine disturb all of them alike."""

from collections.abc import Callable, Mapping
from typing import TypeVar

Result = TypeVar("Result")


def take_turns(ways: Mapping[str, Callable[[], Result]], rounds: int) -> Mapping[str, list[Result]]:
    """Measures each way once per round; every second round in the opposite order."""
    results: dict[str, list[Result]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            results[name].append(ways[name]())
    return results
