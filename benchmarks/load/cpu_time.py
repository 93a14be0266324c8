"""What a piece of work costs this process, in CPU time."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Name = TypeVar("Name")

BLOCK = 20
TURNS = 15


def cpu_us(works: Mapping[Name, Callable[[], object]], turns: int = TURNS) -> dict[Name, float]:
    """Microseconds of CPU of one call of each work.

    They take turns in short blocks, and the median block counts: whatever else the machine does
    then falls on all of them alike.
    """
    for work in works.values():
        _block(work)
    blocks = [{name: _block(work) for name, work in works.items()} for _ in range(turns)]
    return {name: statistics.median(block[name] for block in blocks) for name in works}


def _block(work: Callable[[], object]) -> float:
    started = time.process_time()
    for _ in range(BLOCK):
        work()
    return (time.process_time() - started) / BLOCK * 1e6


def paced_cpu_us(work: Callable[[], object], rate: float, seconds: float) -> float:
    """Microseconds of CPU of one call, where `rate` calls a second come at even intervals.

    A processor that slept or did something else in between takes longer than one in a tight loop.
    """
    count, started, began = round(rate * seconds), time.process_time(), time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        work()
    return (time.process_time() - started) / count * 1e6
