"""Runs heavy work in threads of low priority, so that the event loop gets a core first."""

import asyncio
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

Result = TypeVar("Result")

_NICENESS = 10
"""Number that is added to the niceness of each thread.

Where a thread and the event loop want the same core, the event loop gets it at once, and nine
tenths of its time. With much more, a thread that holds the interpreter lock would wait for other
processes, and the event loop with it.
"""


class LowPriorityThreads:
    """Calls functions in a fixed number of threads, which start when they are needed."""

    def __init__(self, num_threads: int) -> None:
        self._threads = ThreadPoolExecutor(num_threads, "heavy", initializer=_lower_priority)

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Calls `function` with `arguments` in a thread of low priority, and returns its result.

        The function sees the context variables of the caller; its errors are raised here.
        """
        run = copy_context().run
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, run, function, *arguments)


def _lower_priority() -> None:
    # In Linux a niceness is a thread's; elsewhere this would change the whole process.
    if sys.platform == "linux":
        thread = 0  # the calling one
        least = 19
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, min(least, niceness))
