"""Keeps the machine's cores awake while CPU time is measured."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_SPIN = """
import os, sys
core, parent = map(int, sys.argv[1:])
os.sched_setaffinity(0, {core})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == parent:
    sum(range(10_000))
"""


@contextmanager
def awake_cores() -> Iterator[None]:
    """Keeps each core busy with a process of the lowest priority, whose place any other takes.

    To wake a core that sleeps costs time, on a virtual machine much and not always the same, and
    it is charged to the process that sends to one that sleeps there.
    """
    with ExitStack() as parts:
        for core in os.sched_getaffinity(0):
            spinning = subprocess.Popen([sys.executable, "-c", _SPIN, str(core), str(os.getpid())])
            parts.callback(spinning.wait)
            parts.callback(spinning.kill)
        yield
