"""Measures the CPU time that a function takes in this process."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Name = TypeVar("Name")

CALLS_PER_BLOCK = 20
NUM_BLOCKS = 15


def cpu_us(
    functions: Mapping[Name, Callable[[], object]], num_blocks: int = NUM_BLOCKS
) -> dict[Name, float]:
    """Returns the microseconds of CPU that one call of each function takes.

    The functions take turns in short blocks of calls, so that other programs on the machine disturb
    all of them alike. The result is the median block. One block of each warms up.
    """
    for function in functions.values():
        _time_block(function)
    blocks = [
        {name: _time_block(function) for name, function in functions.items()}
        for _ in range(num_blocks)
    ]
    return {name: statistics.median(block[name] for block in blocks) for name in functions}


def _time_block(function: Callable[[], object]) -> float:
    started = time.process_time()
    for _ in range(CALLS_PER_BLOCK):
        function()
    return (time.process_time() - started) / CALLS_PER_BLOCK * 1e6


def paced_cpu_us(function: Callable[[], object], rate: float, seconds: float) -> float:
    """Returns the microseconds of CPU that a call takes at `rate` evenly spaced calls a second.

    It is more than in a tight loop: between two calls the processor sleeps or runs something else.
    """
    count, started, began = round(rate * seconds), time.process_time(), time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        function()
    return (time.process_time() - started) / count * 1e6
