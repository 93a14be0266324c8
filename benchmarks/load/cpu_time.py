"""Measures the CPU time of functions in this process."""

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
    """Returns the CPU time of one call of each function, in microseconds, by name.

    The functions take turns in short blocks of calls, so that other programs on the machine disturb
    all of them alike. The result is the median over blocks, after one block for warm-up.
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
    """Returns the CPU time of a call of `function`, in microseconds, with pauses between calls.

    There are `rate` evenly spaced calls per second, for `seconds`. A call takes more CPU time than
    in a tight loop, since the processor sleeps or runs other programs in between.
    """
    count, started, began = round(rate * seconds), time.process_time(), time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        function()
    return (time.process_time() - started) / count * 1e6
